#include <heed/viz/svg.h>

#include <filesystem>
#include <limits>

#include <heed/core/error.h>
#include <heed/data/utf8.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/viz/find.h>

using namespace heed;
using namespace heed::viz;
using namespace heed::test;

TEST_CASE("svg: each shape as written") {
  Svg svg(200, 100.5, "a \"title\"");
  svg.rect(1, 2.25, 3, 4, {30, 90, 160});
  svg.frame(10, 10, 5, 6, {0, 0, 0});
  svg.line(0, 0, -0.001, 1.0 / 3, {1, 2, 3}, 1.5);
  svg.polyline(std::vector<std::pair<double, double>>{{0, 1}, {2, 3}}, {255, 255, 255});
  svg.circle(5, 6, 7, {9, 9, 9});
  svg.group(3, 4, "<g>", [&] { svg.rect(0, 0, 1, 1, {}); });
  std::string text = svg.str();
  CHECK(has(text,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"200\" height=\"100.5\" "
            "viewBox=\"0 0 200 100.5\" "));
  CHECK(has(text, "<title>a &quot;title&quot;</title>"));
  CHECK(has(text, "<rect x=\"1\" y=\"2.25\" width=\"3\" height=\"4\" fill=\"#1e5aa0\"/>"));
  CHECK(has(text, "<rect x=\"9.5\" y=\"9.5\" width=\"6\" height=\"7\" fill=\"none\" "));
  CHECK(
      has(text, "x1=\"0\" y1=\"0\" x2=\"0\" y2=\"0.33\" stroke=\"#010203\" stroke-width=\"1.5\""));
  CHECK(has(text, "<polyline points=\"0 1 2 3\" fill=\"none\" stroke=\"#ffffff\""));
  CHECK(has(text, "<circle cx=\"5\" cy=\"6\" r=\"7\" "));
  CHECK(has(text, "<g transform=\"translate(3 4)\">\n<title>&lt;g&gt;</title>\n<rect"));
  CHECK(count(text, "<g") == count(text, "</g>"));
}

TEST_CASE("svg: text is anchored and escaped") {
  Svg svg(100, 100, "");
  svg.text(50, 20, "<b> & \"q\" 'a' ]]>", {.size = 10, .anchor = Anchor::middle});
  svg.text(7, 80, "Mädchen 猫 👩‍🔬", {.size = 20, .anchor = Anchor::end, .upwards = true});
  std::string text = svg.str();
  CHECK(has(text,
            "<text x=\"50\" y=\"23.5\" font-size=\"10\" fill=\"#282c34\" "
            "text-anchor=\"middle\">&lt;b&gt; &amp; &quot;q&quot; &#39;a&#39; ]]&gt;</text>"));
  CHECK(has(text,
            "<text x=\"14\" y=\"80\" font-size=\"20\" fill=\"#282c34\" text-anchor=\"end\" "
            "transform=\"rotate(-90 14 80)\">Mädchen 猫 👩‍🔬</text>"));
}

TEST_CASE("svg: text that XML cannot hold") {
  using namespace std::string_literals;
  CHECK(printable("a\nb\t\0c\x7f"s) == "a␊b␉␀c␡");
  CHECK(printable("\xff\xc3(") == "\uFFFD\uFFFD(");
  CHECK(printable("\xef\xbf\xbf\xc2\x85") == "\uFFFD\uFFFD");  // U+FFFF, U+0085
  CHECK(printable("猫 é\u2028") == "猫 é\u2028");
  for (int c = 0; c < 256; ++c) {
    std::string one = escape_xml(std::string(1, static_cast<char>(c)));
    CAPTURE(c);
    CHECK(data::utf8_error(one) == std::string::npos);
    CHECK(static_cast<unsigned char>(one[0]) >= 0x20);
  }
}

TEST_CASE("svg: an image is embedded as PNG, sharp") {
  Array pixels = Array::from<uint8_t>({0, 1, 2, 3, 4, 5}, {2, 3});
  Svg svg(100, 100, "");
  svg.image(1, 2, 30, 20, pixels);
  std::string text = svg.str();
  // The first bytes of a PNG and of its header: 48 x 32, each pixel a square of 16.
  CHECK(has(text,
            "<image x=\"1\" y=\"2\" width=\"30\" height=\"20\" preserveAspectRatio=\"none\" "
            "style=\"image-rendering:pixelated\" "
            "href=\"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAADAAAAAg"));
  CHECK_THROWS_AS(svg.image(0, 0, 1, 1, Array::zeros({2, 2}, DType::f32, kCpu)), DTypeError);
  CHECK_THROWS_AS(svg.image(0, 0, 1, 1, Array::zeros({0, 2}, DType::u8, kCpu)), ShapeError);
  CHECK_THROWS_AS(svg.image(0, 0, 1, 1, Array::zeros({2, 2, 4}, DType::u8, kCpu)), ShapeError);
  CHECK_THROWS_AS(svg.image(0, 0, 1, 1, Array::zeros({4}, DType::u8, kCpu)), ShapeError);
}

TEST_CASE("svg: cells of one colour beside each other are one rectangle") {
  Array colors = Array::zeros({2, 3, 3}, DType::u8, kCpu);
  colors.data<uint8_t>()[3 * 5] = 255;  // row 1, column 2: red
  Svg svg(100, 100, "");
  svg.cells(10, 20, 60, 20, colors);
  std::string text = svg.str();
  CHECK(has(text, "<g transform=\"translate(10 20) scale(20 10)\""));
  CHECK(has(text, "<path color=\"#000000\" d=\"M0 0h3v1H0zM0 1h2v1H0z\"/>"));
  CHECK(has(text, "<path color=\"#ff0000\" d=\"M2 1h1v1H2z\"/>"));
  CHECK(count(text, "<path") == 2);
  Svg transposed(100, 100, "");
  transposed.cells(0, 0, 20, 30, colors.transpose(0, 1));
  CHECK(has(transposed.str(), "<path color=\"#ff0000\" d=\"M1 2h1v1H1z\"/>"));
  CHECK_THROWS_AS(svg.cells(0, 0, 1, 1, Array::zeros({2, 2}, DType::u8, kCpu)), ShapeError);
  CHECK_THROWS_AS(svg.cells(0, 0, 1, 1, Array::zeros({0, 2, 3}, DType::u8, kCpu)), ShapeError);
}

TEST_CASE("svg: what is refused") {
  double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  CHECK_THROWS_AS(Svg(0, 5, ""), ValueError);
  CHECK_THROWS_AS(Svg(5, 1e6, ""), ValueError);
  CHECK_THROWS_AS(Svg(nan, 5, ""), ValueError);
  Svg svg(10, 10, "");
  std::string before = svg.str();
  REQUIRE_THROWS_SAYING(svg.rect(nan, 0, 1, 1, {}), ValueError, "finite numbers expected, got nan");
  REQUIRE_THROWS_SAYING(svg.rect(0, 0, -1, 1, {}), ValueError, "at least 0");
  CHECK_THROWS_AS(svg.line(0, inf, 1, 1, {}), ValueError);
  CHECK_THROWS_AS(svg.circle(0, 0, -1, {}), ValueError);
  CHECK_THROWS_AS(svg.text(0, 0, "x", {.size = nan}), ValueError);
  CHECK_THROWS_AS(svg.polyline(std::vector<std::pair<double, double>>{{0, nan}}, {}), ValueError);
  CHECK_THROWS_AS(
      svg.group(0, 0, "", [&] { svg.rect(0, 0, 1, 1, {}), svg.rect(nan, 0, 1, 1, {}); }),
      ValueError);
  CHECK(svg.str() == before);  // nothing half written
}

TEST_CASE("svg: a file is whole, or an error says why") {
  TempDir dir;
  Svg svg(10, 10, "x");
  svg.save(dir / "x.svg");
  CHECK(read_bytes(dir / "x.svg") == svg.str());
  REQUIRE_THROWS_SAYING(svg.save(dir / "no" / "x.svg"), IoError, "cannot write: No such file");
  if (std::filesystem::exists("/dev/full"))
    REQUIRE_THROWS_SAYING(svg.save("/dev/full"), IoError, "cannot write");
}

TEST_CASE("room for a text, and what is left of a long one") {
  CHECK(text_room("", 10) == 0);
  CHECK(text_room("猫", 10) > 10);  // a full square
  CHECK(text_room("WWWW", 10) > text_room("iiii", 10));
  CHECK(text_room("ab", 20) == 2 * text_room("ab", 10));
  CHECK(shortened("Mädchen", 7) == "Mädchen");
  CHECK(shortened("Mädchen", 3) == "Mä…");
  CHECK(shortened("", 1).empty());
}
