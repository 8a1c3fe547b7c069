#include <heed/data/resize.h>

#include <algorithm>
#include <cmath>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/core/xtensor.h>
#include <heed/data/safetensors.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// The formula of resize.h at one output pixel, in double, over every pixel of the plane.
double naive_pixel(const Array& plane, int64_t height, int64_t width, int64_t y, int64_t x) {
  auto weight = [](int64_t in, int64_t out, int64_t at, int64_t i) {
    double s = static_cast<double>(in) / static_cast<double>(out);
    double distance = std::fabs(static_cast<double>(i) + 0.5 - (static_cast<double>(at) + 0.5) * s);
    return std::max(0.0, 1 - distance / std::max(s, 1.0));
  };
  auto pixels = as_xtensor<float, 2>(plane);
  double sum = 0, weights = 0;
  for (int64_t i = 0; i < plane.dim(0); ++i)
    for (int64_t j = 0; j < plane.dim(1); ++j) {
      double w = weight(plane.dim(0), height, y, i) * weight(plane.dim(1), width, x, j);
      sum += w * static_cast<double>(pixels(i, j));
      weights += w;
    }
  return sum / weights;
}

void check_naively(const Array& planes, int64_t height, int64_t width) {
  CAPTURE(planes.shape(), height, width);
  Array out = resize_planes(planes, height, width);
  REQUIRE(out.shape() == Shape{planes.dim(0), height, width});
  auto pixels = as_xtensor<float, 3>(out);
  for (int64_t n = 0; n < planes.dim(0); ++n)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x)
        REQUIRE_THAT(static_cast<double>(pixels(n, y, x)),
                     WithinAbs(naive_pixel(planes.select(0, n), height, width, y, x), 2e-6));
}

Array row_major(const Array& picture) { return from_xtensor(as_xtensor<uint8_t, 3>(picture)); }

const char* const kGoldenCases[] = {"smaller",   "larger", "mixed", "one_axis",
                                    "one_pixel", "to_one", "nearly"};
}  // namespace

TEST_CASE("resize: the formula, of any sizes and strides") {
  Generator random(8);
  for (int round = 0; round < 60; ++round) {
    auto size = [&] { return 1 + static_cast<int64_t>(random.integer(17)); };
    Array planes = random_uniform({2, size(), size()}, -1, 1, random.take(600));
    check_naively(planes, size(), size());
    check_naively(planes.transpose(1, 2), size(), size());
  }
  Array large = random_uniform({3, 20, 20}, -1, 1, random.take(1200));
  check_naively(large.slice(1, 3, 17, 2).slice(2, 1, 12), 9, 5);
}

TEST_CASE("resize: Pillow's numbers") {
  auto golden = read_safetensors(str(HEED_SOURCE_DIR, "/tests/golden/resize.safetensors"));
  for (std::string name : kGoldenCases) {
    CAPTURE(name);
    Array in = golden.at(name + ".f32.in"), expected = golden.at(name + ".f32.out");
    Array out = resize_planes(in.unsqueeze(0), expected.dim(0), expected.dim(1)).select(0, 0);
    auto difference = xt::abs(as_xtensor<float, 2>(out) - as_xtensor<float, 2>(expected));
    CHECK(xt::amax(difference)() < 1e-6f);

    // Pillow rounds after each axis.
    in = golden.at(name + ".rgb.in"), expected = golden.at(name + ".rgb.out");
    out = resize(in, expected.dim(0), expected.dim(1));
    REQUIRE(out.shape() == expected.shape());
    auto apart = xt::abs(xt::cast<int>(as_xtensor<uint8_t, 3>(out)) -
                         xt::cast<int>(as_xtensor<uint8_t, 3>(expected)));
    CHECK(xt::amax(apart)() <= 1);
  }
}

TEST_CASE("resize: bytes are rounded once, to the nearest") {
  for (auto [height, width] : {std::pair{5, 7}, {20, 31}, {12, 4}, {1, 1}}) {
    Array picture = random_image({12, 9, 3});
    Array planes =
        from_xtensor(xt::cast<float>(xt::transpose(as_xtensor<uint8_t, 3>(picture), {2, 0, 1})));
    Array out = resize(picture, height, width);
    auto pixels = as_xtensor<uint8_t, 3>(out);
    REQUIRE(out.shape() == Shape{height, width, 3});
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        for (int c = 0; c < 3; ++c) {
          double exact = naive_pixel(planes.select(0, c), height, width, y, x);
          REQUIRE(std::fabs(exact - pixels(y, x, c)) < 0.5 + 1e-4);
        }
  }
}

TEST_CASE("resize: its own size is itself, and even pictures stay even") {
  Array picture = random_image({6, 5, 3});
  CHECK(values<uint8_t>(resize(picture, 6, 5)) == values<uint8_t>(picture));
  for (int level : {0, 1, 127, 254, 255}) {
    Array even = Array::empty({7, 9, 1}, DType::u8, kCpu);
    as_xtensor<uint8_t>(even).fill(static_cast<uint8_t>(level));
    for (auto [height, width] : {std::pair{3, 4}, {20, 13}, {7, 1}})
      for (uint8_t value : values<uint8_t>(resize(even, height, width))) REQUIRE(value == level);
  }
}

TEST_CASE("the middle of a picture") {
  Array picture = random_image({7, 8, 3});
  Array middle = center_crop(picture, 4, 3);
  CHECK(middle.shares_storage(picture));
  CHECK(values<uint8_t>(row_major(middle)) ==
        values<uint8_t>(row_major(picture.slice(0, 1, 5).slice(1, 2, 5))));
  CHECK(values<uint8_t>(row_major(center_crop(picture, 7, 8))) == values<uint8_t>(picture));
  REQUIRE_THROWS_SAYING(center_crop(picture, 8, 8), ShapeError, "8 x 8 out of a picture of 7 x 8");
  CHECK_THROWS_AS(center_crop(picture, 0, 1), ShapeError);
}

TEST_CASE("fitted: covers the size, keeps proportions, then the middle") {
  struct {
    int64_t height, width, fitted_height, fitted_width, wanted_height, wanted_width;
  } cases[] = {{10, 20, 5, 10, 5, 5},   {20, 10, 10, 5, 5, 5}, {10, 20, 8, 16, 8, 3},
               {3, 3, 9, 9, 9, 7},      {9, 7, 9, 7, 9, 7},    {100, 30, 40, 12, 11, 12},
               {30, 101, 10, 34, 10, 7}};  // 33.67 columns are 34
  for (auto& c : cases) {
    CAPTURE(c.height, c.width, c.wanted_height, c.wanted_width);
    Array picture = random_image({c.height, c.width, 3});
    Array out = fit_picture(picture, c.wanted_height, c.wanted_width);
    Array expected = center_crop(resize(picture, c.fitted_height, c.fitted_width), c.wanted_height,
                                 c.wanted_width);
    REQUIRE(out.shape() == expected.shape());
    CHECK(values<uint8_t>(row_major(out)) == values<uint8_t>(row_major(expected)));
  }
  // Long and thin: only what is kept is computed (the whole would have 10^10 pixels).
  Array out = fit_picture(random_image({1, 50000, 1}), 448, 448);
  CHECK(out.shape() == Shape{448, 448, 1});
}

TEST_CASE("resize: what is refused") {
  Array picture = random_image({3, 4, 3});
  for (auto f : {resize, center_crop, fit_picture}) {
    CHECK_THROWS_AS(f(picture, 0, 3), ShapeError);
    CHECK_THROWS_AS(f(picture, 3, -1), ShapeError);
    CHECK_THROWS_AS(f(Array(), 3, 3), DTypeError);
    CHECK_THROWS_AS(f(Array::zeros({3, 3, 3}, DType::f32, kCpu), 3, 3), DTypeError);
    CHECK_THROWS_AS(f(random_image({3, 4}), 3, 3), ShapeError);
    CHECK_THROWS_AS(f(Array::zeros({3, 0, 3}, DType::u8, kCpu), 3, 3), ShapeError);
  }
  CHECK_THROWS_AS(resize_planes(Array::zeros({3, 3}, DType::f32, kCpu), 2, 2), ShapeError);
  CHECK_THROWS_AS(resize_planes(Array::zeros({1, 3, 3}, DType::f32, kCpu), 0, 2), ShapeError);
  CHECK_THROWS_AS(resize_planes(picture, 2, 2), DTypeError);
}
