#include <heed/viz/chart.h>

#include <cmath>
#include <limits>
#include <sstream>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/viz/find.h>

using namespace heed;
using namespace heed::viz;
using namespace heed::test;

namespace {
using Numbers = std::vector<double>;

// The numbers of the first attribute NAME="..." behind `from`.
Numbers numbers_of(const std::string& svg, const std::string& name, size_t from = 0) {
  size_t begin = svg.find(name + "=\"", from) + name.size() + 2;
  std::istringstream in(svg.substr(begin, svg.find('"', begin) - begin));
  Numbers out;
  for (double x; in >> x;) out.push_back(x);
  return out;
}
}  // namespace

TEST_CASE("ticks: round numbers around the range") {
  auto near = [](const Numbers& a, const Numbers& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i)
      if (std::abs(a[i] - b[i]) > 1e-12 * std::abs(b[i])) return false;
    return true;
  };
  CHECK(near(ticks(0, 100, 5), {0, 20, 40, 60, 80, 100}));
  CHECK(near(ticks(0.13, 0.49, 5), {0.1, 0.2, 0.3, 0.4, 0.5}));
  CHECK(near(ticks(-3, 7, 5), {-4, -2, 0, 2, 4, 6, 8}));
  CHECK(near(ticks(2, 2, 2), {1, 2, 3}));
  CHECK(near(ticks(0, 0, 2), {-1, 0, 1}));
  CHECK(ticks(1e17, 1e17 + 16, 5).size() < 20);
  for (double low : {-1e9, -0.3, 0.0, 7.0, 1e-9})
    for (double size : {1e-9, 0.02, 1.0, 12345.0, 1e12}) {
      CAPTURE(low, size);
      Numbers t = ticks(low, low + size, 5);
      double rounding = 1e-8 * (t[1] - t[0]) + 1e-15 * std::abs(low);
      CHECK(t.front() <= low + rounding);
      CHECK(t.back() >= low + size - rounding);
      CHECK(t.size() >= 2);
      CHECK(t.size() <= 9);
    }
  CHECK_THROWS_AS(ticks(1, 0, 5), ValueError);
  CHECK_THROWS_AS(ticks(0, INFINITY, 5), ValueError);
  CHECK_THROWS_AS(ticks(NAN, 1, 5), ValueError);
  CHECK_THROWS_AS(ticks(-INFINITY, INFINITY, 5), ValueError);
}

TEST_CASE("ticks: tiny and huge ranges end, and have room for numbers") {
  const double least = std::numeric_limits<double>::denorm_min();
  for (auto [low, high] : {std::pair{least, least},
                           {0., least},
                           {-least, least},
                           {1e-320, 3e-320},
                           {0., 1e-310},
                           {1., std::nextafter(1., 2.)},
                           {-1e300, 1e300},
                           {1e300, 1e300},
                           {0., 1e-299}}) {
    CAPTURE(low, high);
    Numbers t = ticks(low, high, 5);
    CHECK(t.size() >= 2);
    CHECK(t.size() <= 13);
    double rounding = 1e-12 * (t.back() - t.front());
    CHECK(t.front() <= low + rounding);
    CHECK(t.back() >= high - rounding);
    for (size_t i = 1; i < t.size(); ++i) CHECK(t[i] > t[i - 1]);
    CHECK(std::isfinite(t.back() - t.front()));
    CHECK(draw_lines({{"a", {low, high}, {high, low}}}).str().find("nan") == std::string::npos);
  }
  const double most = std::numeric_limits<double>::max();
  for (auto [low, high] : {std::pair{0., most}, {-most, most}, {most, most}, {-2e300, 0.}}) {
    CAPTURE(low, high);
    REQUIRE_THROWS_SAYING(ticks(low, high, 5), ValueError, "numbers up to 1e300 expected");
  }
  CHECK(draw_bars({"g"}, {{"a", {least}}}).str().find("nan") == std::string::npos);
}

TEST_CASE("lines: points where the axes say") {
  Svg svg = draw_lines({{"a <b>", {0, 50, 100}, {0, 2, 1}}, {"one", {20}, {1.5}}},
                       {.title = "losses", .x_label = "step", .y_label = "loss"});
  std::string text = svg.str();
  for (const char* part : {">losses</text>", ">step</text>", ">loss</text>", ">a &lt;b&gt;</text>",
                           ">one</text>", ">100</text>", ">1.5</text>"}) {
    CAPTURE(part);
    CHECK(has(text, part));
  }
  Numbers points = numbers_of(text, "points");
  REQUIRE(points.size() == 6);
  CHECK(points[2] == Approx((points[0] + points[4]) / 2).margin(0.02));
  CHECK(points[5] == Approx((points[1] + points[3]) / 2).margin(0.02));
  CHECK(points[3] < points[1]);  // up is smaller
  // The tick at y = 0 is on the level of the first point, and the tick at x = 100 below the last.
  size_t zero = text.find("<line");
  CHECK(numbers_of(text, "y1", zero)[0] == Approx(points[1]).margin(0.01));
  CHECK(count(text, "<circle") == 4);  // few points: each has a mark, the lonely one too
  CHECK(svg.width() > 560);
  CHECK(svg.height() == 320);
  // Many points: no marks.
  Numbers many;
  for (int i = 0; i < 100; ++i) many.push_back(i);
  CHECK(count(draw_lines({{"a", many, many}}).str(), "<circle") == 0);
}

TEST_CASE("bars: as high as their values") {
  std::string text =
      draw_bars({"short", "long & wide"}, {{"with", {80, 60}}, {"without", {40, 0}}}).str();
  CHECK(has(text, ">long &amp; wide</text>"));
  Numbers heights;
  for (const char* color : {"#1e5aa0", "#c87828"})
    for (size_t at = 0; (at = text.find(str("fill=\"", color), at)) != text.npos; ++at)
      heights.push_back(numbers_of(text, "height", text.rfind("<rect", at))[0]);
  REQUIRE(heights.size() == 6);  // two in the legend, four bars
  heights.erase(heights.begin() + 3);
  heights.erase(heights.begin());
  CHECK(heights[1] == Approx(0.75 * heights[0]).epsilon(1e-3));
  CHECK(heights[2] == Approx(0.5 * heights[0]).epsilon(1e-3));
  CHECK(heights[3] == 0);
  CHECK(has(text, ">60</text>"));
  CHECK(has(draw_bars({"g"}, {{"a", {0.25}}}).str(), ">0.25</text>"));
  CHECK_NOTHROW(draw_bars({"g"}, {{"zero", {0}}}));
}

TEST_CASE("charts: what cannot be drawn") {
  CHECK_THROWS_AS(draw_lines({}), ValueError);
  REQUIRE_THROWS_SAYING(draw_lines({{"a", {1, 2}, {1}}}), ValueError, "'a': as many x as y");
  CHECK_THROWS_AS(draw_lines({{"a", {}, {}}}), ValueError);
  REQUIRE_THROWS_SAYING(draw_lines({{"a", {1}, {NAN}}}), ValueError, "finite numbers expected");
  CHECK_THROWS_AS(draw_lines({{"a", {INFINITY}, {1}}}), ValueError);
  CHECK_THROWS_AS(draw_lines(std::vector<Line>(9, {"a", {1}, {1}})), ValueError);
  CHECK_THROWS_AS(draw_lines({{"a", {1}, {1}}}, {.width = 10}), ValueError);
  CHECK_THROWS_AS(draw_lines({{"a", {1}, {1}}}, {.height = NAN}), ValueError);
  CHECK_THROWS_AS(draw_bars({}, {{"a", {}}}), ValueError);
  CHECK_THROWS_AS(draw_bars({"g"}, {}), ValueError);
  REQUIRE_THROWS_SAYING(draw_bars({"g"}, {{"a", {1, 2}}}), ValueError, "1 values expected");
  REQUIRE_THROWS_SAYING(draw_bars({"g"}, {{"a", {-1}}}), ValueError, "at least 0");
  CHECK_THROWS_AS(draw_bars({"g"}, {{"a", {NAN}}}), ValueError);
}
