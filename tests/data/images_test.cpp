#include <heed/data/images.h>

#include <png.h>

#include <filesystem>
#include <vector>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/data/heatmap.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// Decoded by libpng: not by what wrote it.
std::vector<uint8_t> decode(const std::string& bytes, unsigned format, unsigned& width,
                            unsigned& height) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()));
  REQUIRE(image.format == format);
  width = image.width;
  height = image.height;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  REQUIRE(image.warning_or_error == 0);
  return pixels;
}

Array random_image(const Shape& shape) {
  Array image = Array::empty(shape, DType::u8);
  Generator g(4);
  for (int64_t i = 0; i < image.numel(); ++i)
    image.data<uint8_t>()[i] = static_cast<uint8_t>(g.integer(256));
  return image;
}
}  // namespace

TEST_CASE("PNG: libpng reads back every pixel") {
  unsigned width, height;
  Array grey = random_image({7, 13});
  auto pixels = decode(encode_png(grey), PNG_FORMAT_GRAY, width, height);
  CHECK(width == 13);
  CHECK(height == 7);
  CHECK(std::equal(pixels.begin(), pixels.end(), grey.data<uint8_t>()));

  Array rgb = random_image({300, 1, 3});
  pixels = decode(encode_png(rgb), PNG_FORMAT_RGB, width, height);
  CHECK(width == 1);
  CHECK(height == 300);
  CHECK(std::equal(pixels.begin(), pixels.end(), rgb.data<uint8_t>()));

  pixels = decode(encode_png(grey.transpose(0, 1)), PNG_FORMAT_GRAY, width, height);
  CHECK(width == 7);
  CHECK(pixels[1] == grey.data<uint8_t>()[13]);
  pixels = decode(encode_png(rgb.slice(0, 10, 20, 3)), PNG_FORMAT_RGB, width, height);
  CHECK(height == 4);
  CHECK(pixels[3] == rgb.data<uint8_t>()[13 * 3]);
}

TEST_CASE("PNG: what is no picture, and where none can be written") {
  REQUIRE_THROWS_SAYING(encode_png(Array::zeros({2, 2})), DTypeError, "u8 expected, got f32");
  CHECK_THROWS_AS(encode_png(Array()), DTypeError);
  REQUIRE_THROWS_SAYING(encode_png(Array::zeros({2, 2, 4}, DType::u8)), ShapeError,
                        "[H, W] or [H, W, 3] expected, got [2, 2, 4]");
  CHECK_THROWS_AS(encode_png(Array::zeros({4}, DType::u8)), ShapeError);
  CHECK_THROWS_AS(encode_png(Array::zeros({0, 4}, DType::u8)), ShapeError);
  CHECK_THROWS_AS(encode_png(Array::zeros({1, 65536}, DType::u8)), ShapeError);
  TempDir dir;
  Array one = Array::zeros({1, 1}, DType::u8);
  write_png(dir / "one.png", one);
  CHECK(read_bytes(dir / "one.png") == encode_png(one));
  REQUIRE_THROWS_SAYING(write_png(dir / "no" / "one.png", one), IoError,
                        "cannot write: No such file");
  if (std::filesystem::exists("/dev/full"))
    REQUIRE_THROWS_SAYING(write_png("/dev/full", one), IoError, "cannot write");
}

TEST_CASE("canvas: rectangles and letters, clipped at the border") {
  Canvas canvas(20, 12);
  canvas.fill(-5, -5, 7, 7, {1, 2, 3});
  CHECK(canvas.at(1, 1) == Color{1, 2, 3});
  CHECK(canvas.at(2, 1) == Color{255, 255, 255});
  canvas.fill(18, 10, 50, 50, {4, 5, 6});
  CHECK(canvas.at(19, 11) == Color{4, 5, 6});
  canvas.frame(4, 4, 3, 3, {9, 9, 9});
  CHECK(canvas.at(5, 4) == Color{9, 9, 9});
  CHECK(canvas.at(5, 5) == Color{255, 255, 255});
  CHECK(canvas.image().shape() == Shape{12, 20, 3});
  CHECK(canvas.image().data<uint8_t>()[2] == 3);
  CHECK_THROWS_AS(Canvas(0, 5), ValueError);
  CHECK_THROWS_AS(Canvas(1 << 20, 1 << 20), ValueError);

  auto drawn = [](std::string_view text, bool up, int size) {
    Canvas c(80, 80);
    up ? c.text_up(20, 60, text, {}, size) : c.text(20, 20, text, {}, size);
    std::vector<std::pair<int, int>> dots;
    for (int y = 0; y < 80; ++y)
      for (int x = 0; x < 80; ++x)
        if (c.at(x, y) == Color{}) dots.emplace_back(x, y);
    return dots;
  };
  using Dots = std::vector<std::pair<int, int>>;
  CHECK(drawn("-", false, 1) == Dots{{20, 23}, {21, 23}, {22, 23}, {23, 23}, {24, 23}});
  CHECK(drawn("-", true, 1) == Dots{{23, 56}, {23, 57}, {23, 58}, {23, 59}, {23, 60}});
  CHECK(drawn("L", false, 2).size() == 4 * drawn("L", false, 1).size());
  // Upright is the same turned by 90 degrees: (x, y) -> (y, -x).
  Dots level = drawn("Fg", false, 1), upright = drawn("Fg", true, 1), turned;
  for (auto [x, y] : level) turned.emplace_back(20 + (y - 20), 60 - (x - 20));
  std::sort(turned.begin(), turned.end(), [](auto a, auto b) {
    return std::pair(a.second, a.first) < std::pair(b.second, b.first);
  });
  CHECK(upright == turned);

  CHECK(drawn("é", false, 1) == drawn("e", false, 1));
  CHECK(drawn("ä", false, 1).size() == drawn("a", false, 1).size() + 2);
  CHECK(drawn("Ö", false, 1).size() == drawn("O", false, 1).size() + 2);
  CHECK(drawn("\xE2\x96\x81", false, 1) == drawn("_", false, 1));
  CHECK(drawn("„", false, 1) == drawn("\"", false, 1));
  CHECK(drawn("猫", false, 1) == drawn("\x01", false, 1));  // the box
  CHECK(drawn("猫", false, 1) != drawn(" ", false, 1));
  CHECK(drawn("ß", false, 1) != drawn("猫", false, 1));
  // Every printable character looks different.
  std::vector<Dots> all;
  for (char c = ' '; c <= '~'; ++c) all.push_back(drawn(std::string(1, c), false, 1));
  for (size_t i = 0; i < all.size(); ++i)
    for (size_t j = 0; j < i; ++j) {
      CAPTURE(i + 32, j + 32);
      REQUIRE(all[i] != all[j]);
    }
  CHECK(text_width("Mäd", 2) == 34);
  CHECK(text_width("") == 0);
}

TEST_CASE("heat map: colours fall evenly from light to dark") {
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

TEST_CASE("heat map: each cell where it belongs") {
  Array w = Array::from<float>({0, 1, 0.5, 0.25, 0.75, NAN}, {2, 3});
  Array image = draw_heatmaps(std::vector<AttentionMap>{{w}}, {.cell = 10, .legend = false});
  CHECK(image.shape() == Shape{20 + 2 + 32, 30 + 2 + 32, 3});
  auto pixel = [](const Array& a, int64_t x, int64_t y) {
    const uint8_t* p = a.data<uint8_t>() + (y * a.dim(1) + x) * 3;
    return Color{p[0], p[1], p[2]};
  };
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      CHECK(pixel(image, 17 + 10 * j + 5, 17 + 10 * i + 5) ==
            heat_color(w.data<float>()[3 * i + j]));
  CHECK(pixel(image, 0, 0) == Color{255, 255, 255});
  // f64, transposed, with a smaller maximum.
  Array d = Array::from<double>({0, 0.1, 0.2, 0.3}, {2, 2});
  Array turned = draw_heatmaps(std::vector<AttentionMap>{{d.transpose(0, 1)}},
                               {.cell = 10, .max = 0.4, .legend = false});
  CHECK(pixel(turned, 17 + 15, 17 + 5) == heat_color(0.5));
  // bf16.
  Array h = Array::from<bfloat16>({to_bfloat16(0), to_bfloat16(0.5F)}, {1, 2});
  Array half = draw_heatmaps(std::vector<AttentionMap>{{h}}, {.cell = 10, .max = 1});
  CHECK(pixel(half, 17 + 15, 17 + 5) == heat_color(0.5));
  // A grid of five: three across, two down.
  std::vector<AttentionMap> five(5, {w, "head", {"a", "b"}, {"x", "yy", "zzz"}});
  HeatmapOptions plain{.legend = false};
  Array grid = draw_heatmaps(five, plain), single = draw_heatmaps(std::span(five).first(1), plain);
  int64_t width = single.dim(1) - 32, height = single.dim(0) - 32;  // without margins of 16
  CHECK(grid.dim(1) == 3 * width + 2 * 24 + 32);
  CHECK(grid.dim(0) == 2 * height + 24 + 32);
  CHECK(draw_heatmaps(five, {.grid_columns = 5, .legend = false}).dim(0) == single.dim(0));
  CHECK(draw_heatmaps(five).dim(0) == grid.dim(0) + 30);
  TempDir dir;
  write_heatmaps(dir / "m.png", five, plain);
  CHECK(read_bytes(dir / "m.png") == encode_png(grid));
}

TEST_CASE("heat map: what cannot be drawn") {
  Array w = Array::zeros({2, 3});
  auto draw = [](AttentionMap m, HeatmapOptions o = {}) {
    return draw_heatmaps(std::span(&m, 1), o);
  };
  CHECK_THROWS_AS(draw_heatmaps({}), ValueError);
  REQUIRE_THROWS_SAYING(draw({w, "t", {"a"}}), ShapeError,
                        "heatmap 0 ('t'): 1 row labels for 2 rows");
  REQUIRE_THROWS_SAYING(draw({w, "", {}, {"a", "b"}}), ShapeError,
                        "heatmap 0: 2 column labels for 3 columns");
  CHECK_THROWS_AS(draw({Array::zeros({2, 3, 1})}), ShapeError);
  CHECK_THROWS_AS(draw({Array::zeros({0, 3})}), ShapeError);
  CHECK_THROWS_AS(draw({Array::zeros({2, 3}, DType::i64)}), DTypeError);
  CHECK_THROWS_AS(draw({Array()}), DTypeError);
  CHECK_THROWS_AS(draw({w}, {.cell = 0}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.grid_columns = -1}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.max = 0}), ValueError);
  CHECK_THROWS_AS(draw({w}, {.max = NAN}), ValueError);
  REQUIRE_THROWS_SAYING(draw({Array::zeros({1, 1}).broadcast_to({9000, 9000})}), ValueError,
                        "a smaller cell helps");
}
