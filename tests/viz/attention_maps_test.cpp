#include <heed/viz/attention_maps.h>

#include <cmath>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/viz/find.h>

using namespace heed;
using namespace heed::viz;
using namespace heed::test;

TEST_CASE("attention maps: colours fall evenly from light to dark") {
  auto luminance = [](double v) {
    Color c = heat_color(v);
    return 0.2126 * c.r + 0.7152 * c.g + 0.0722 * c.b;
  };
  for (int i = 1; i <= 100; ++i) {
    REQUIRE(luminance(i / 100.0) < luminance((i - 1) / 100.0));
    REQUIRE(luminance((i - 1) / 100.0) - luminance(i / 100.0) <
            5);  // no step that looks like an edge
  }
  CHECK(luminance(0) > 240);
  CHECK(luminance(1) < 40);
  CHECK(heat_color(-3) == heat_color(0));
  CHECK(heat_color(7) == heat_color(1));
  CHECK(heat_color(NAN).r > 200);
  CHECK(heat_color(NAN).g < 100);
}

TEST_CASE("attention maps: each cell where it belongs") {
  Array w = Array::from<float>({0, 1, 0.5, 0.25, 0.75, NAN}, {2, 3});
  std::string text = draw_maps({{w}}, {.cell = 10, .legend = false}).str();
  CHECK(has(text, "<g transform=\"translate(0 0) scale(10 10)\""));
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j) {
      CAPTURE(i, j);
      CHECK(has(text, str("<path color=\"", to_string(heat_color(w.data<float>()[3 * i + j])),
                          "\" d=\"M", j, " ", i, "h1v1H", j, "z\"/>")));
    }
  // f64, transposed, with a smaller maximum.
  Array d = Array::from<double>({0, 0.1, 0.2, 0.3}, {2, 2});
  CHECK(has(draw_maps({{d.transpose(0, 1)}}, {.max = 0.4, .legend = false}).str(),
            str("color=\"", to_string(heat_color(0.5)), "\" d=\"M1 0h1v1H1z\"/>")));
}

TEST_CASE("attention maps: labels and grid") {
  Array w = Array::from<float>({0, 1, 0.5, 0.25, 0.75, 0}, {2, 3});
  std::vector<AttentionMap> five(5, {w, "head <1>", {"a", "b"}, {"x", "yy", "</text>"}});
  MapOptions plain{.legend = false};
  Svg grid = draw_maps(five, plain), single = draw_maps({five[0]}, plain);
  double width = single.width() - 32, height = single.height() - 32;  // without margins of 16
  CHECK(grid.width() == Approx(3 * width + 2 * 24 + 32));             // three across
  CHECK(grid.height() == Approx(2 * height + 24 + 32));               // two down
  CHECK(draw_maps(five, {.grid_columns = 5, .legend = false}).height() == Approx(single.height()));
  CHECK(draw_maps(five).height() == Approx(grid.height() + 30));
  std::string text = grid.str();
  CHECK(count(text, ">head &lt;1&gt;</text>") == 5);
  CHECK(count(text, ">&lt;/text&gt;</text>") == 5);
  CHECK(count(text, " text-anchor=\"end\">a</text>") == 5);
  CHECK(count(text, "</text>") == 5 * 6);
  // Room for labels grows with them; below a cell of 9 there are none.
  five[0].row_labels[0] = "a long label";
  CHECK(draw_maps(five, plain).width() > grid.width());
  CHECK(count(draw_maps(five, {.cell = 8, .legend = false}).str(), "</text>") == 5);
  five[0].row_labels[0] = std::string(100, 'x');
  CHECK(has(draw_maps(five, plain).str(), ">" + std::string(31, 'x') + "…</text>"));
  // The legend ends with the largest value.
  CHECK(has(draw_maps(five, {.max = 0.12}).str(), ">0.12</text>"));
}

TEST_CASE("attention maps: a large one is an image") {
  Array w = Array::zeros({64, 64}, DType::f32, kCpu),
        wide = Array::zeros({1, 65}, DType::f32, kCpu);
  MapOptions plain{.cell = 2, .legend = false};
  CHECK(count(draw_maps({{w}}, plain).str(), "<image") == 0);
  std::string text = draw_maps({{wide}}, plain).str();
  CHECK(count(text, "<image") == 1);
  CHECK(count(text, "<path") == 0);
  CHECK(has(text, "<image x=\"0\" y=\"0\" width=\"130\" height=\"2\""));
  CHECK(draw_maps({{Array::zeros({2000, 2000}, DType::f32, kCpu)}}, plain).str().size() < 200'000);
}

TEST_CASE("attention maps: what cannot be drawn") {
  Array w = Array::zeros({2, 3}, DType::f32, kCpu);
  auto draw = [](AttentionMap m, MapOptions o = {}) { return draw_maps({m}, o); };
  CHECK_THROWS_AS(draw_maps({}), ValueError);
  REQUIRE_THROWS_SAYING(draw({w, "t", {"a"}}), ShapeError,
                        "attention map 0 ('t'): 1 row labels for 2 rows");
  REQUIRE_THROWS_SAYING(draw({w, "", {}, {"a", "b"}}), ShapeError,
                        "attention map 0: 2 column labels for 3 columns");
  CHECK_THROWS_AS(draw({Array::zeros({2, 3, 1}, DType::f32, kCpu)}), ShapeError);
  CHECK_THROWS_AS(draw({Array::zeros({0, 3}, DType::f32, kCpu)}), ShapeError);
  CHECK_THROWS_AS(draw({Array::zeros({2, 3}, DType::i64, kCpu)}), DTypeError);
  Array half = Array::zeros({2, 3}, DType::bf16, kCpu),
        full = Array::zeros({2, 3}, DType::f32, kCpu);
  half.data<bfloat16>()[4] = to_bfloat16(0.5f);
  full.data<float>()[4] = 0.5f;
  CHECK(draw({half}).str() == draw({full}).str());
  CHECK_THROWS_AS(draw({Array()}), DTypeError);
  CHECK_THROWS_AS(draw({w}, {.cell = 0}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.cell = NAN}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.grid_columns = -1}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.max = 0}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.max = NAN}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.max = INFINITY}), ValueError);
  REQUIRE_THROWS_SAYING(draw({Array::zeros({1, 1}, DType::f32, kCpu).broadcast_to({4000, 4000})}),
                        ValueError, "a smaller cell helps");
  REQUIRE_THROWS_SAYING(
      draw({Array::zeros({1, 1}, DType::f32, kCpu).broadcast_to({9000, 9000})}, {.cell = 1}),
      ValueError, "at most 2^26 weights");
}
