#include <heed/data/image_statistics.h>

#include <cmath>
#include <limits>

#include <heed/core/error.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// Two passes in double over the pixels as they come.
ImageStatistics naive_statistics(const ImageSet& set) {
  ImageStatistics out;
  int64_t channels = set.image_shape()[0], plane = set.image_shape().numel() / channels;
  for (int64_t c = 0; c < channels; ++c) {
    auto mean_of = [&](auto f) {
      double sum = 0;
      for (int64_t i = 0; i < set.size(); ++i)
        for (int64_t p = 0; p < plane; ++p)
          sum += f(set.image(i).data<uint8_t>()[c * plane + p] / 255.0);
      return sum / static_cast<double>(set.size() * plane);
    };
    double mean = mean_of([](double x) { return x; });
    out.mean.push_back(mean);
    out.deviation.push_back(std::sqrt(mean_of([&](double x) { return (x - mean) * (x - mean); })));
  }
  return out;
}
}  // namespace

TEST_CASE("image statistics: mean and deviation of each channel") {
  for (Shape shape : {Shape{40, 3, 5, 7}, Shape{30, 1, 4, 4}, Shape{20, 3, 2, 5, 4}}) {
    CAPTURE(shape);
    ImageSetPtr set = random_set(shape, 2);
    ImageStatistics s = image_statistics(*set), expected = naive_statistics(*set);
    REQUIRE(s.mean.size() == static_cast<size_t>(shape[1]));
    REQUIRE(s.deviation.size() == s.mean.size());
    for (size_t c = 0; c < s.mean.size(); ++c) {
      CHECK_THAT(s.mean[c], WithinRel(expected.mean[c], 1e-12));
      CHECK_THAT(s.deviation[c], WithinRel(expected.deviation[c], 1e-12));
    }
  }
}

TEST_CASE("normalised images have mean 0 and deviation 1") {
  ImageSetPtr set = random_set({50, 3, 6, 5}, 2);
  ImageStatistics s = image_statistics(*set);
  double sum[3] = {}, squares[3] = {};
  for (int64_t i = 0; i < set->size(); ++i) {
    Array x = normalise(set->image(i), s);
    REQUIRE(x.dtype() == DType::f32);
    REQUIRE(x.shape() == set->image_shape());
    for (int64_t p = 0; p < x.numel(); ++p) {
      auto c = static_cast<size_t>(p / 30);
      double value = x.data<float>()[p],
             expected = (set->image(i).data<uint8_t>()[p] / 255.0 - s.mean[c]) / s.deviation[c];
      REQUIRE_THAT(value, WithinAbs(expected, 1e-6));
      sum[c] += value;
      squares[c] += value * value;
    }
  }
  for (int c = 0; c < 3; ++c) {
    CHECK_THAT(sum[c] / 1500, WithinAbs(0, 1e-6));
    CHECK_THAT(squares[c] / 1500, WithinAbs(1, 1e-6));
  }
}

TEST_CASE("a channel that never changes is divided by one") {
  Array pixels = random_image({4, 3, 2, 2});
  for (int64_t i = 0; i < 4; ++i)
    for (int64_t p = 0; p < 4; ++p) pixels.data<uint8_t>()[i * 12 + 4 + p] = 51;
  MemoryImages set(pixels, {0, 0, 0, 0}, {"a"});
  ImageStatistics s = image_statistics(set);
  CHECK(s.mean[1] == 51 / 255.0);
  CHECK(s.deviation[1] == 0);
  CHECK(s.deviation[0] > 0.1);
  s.mean[1] = 0.1;
  CHECK_THAT(normalise(set.image(2), s).data<float>()[5], WithinAbs(0.1, 1e-6));
}

TEST_CASE("normalise: what is refused") {
  Array image = random_image({3, 2, 2});
  ImageStatistics s{{0.5, 0.5, 0.5}, {1, 1, 1}};
  CHECK_THROWS_AS(normalise(Array(), s), DTypeError);
  REQUIRE_THROWS_SAYING(normalise(Array::zeros({3, 2, 2}, DType::f32, kCpu), s), DTypeError,
                        "u8 expected, got f32");
  REQUIRE_THROWS_SAYING(normalise(random_image({1, 2, 2}), s), ShapeError,
                        "1 channels expected, got 3 and 3");
  REQUIRE_THROWS_SAYING(normalise(image, {{0, 0, 0}, {1, 1}}), ShapeError, "got 3 and 2");
  REQUIRE_THROWS_SAYING(normalise(image.transpose(1, 2).slice(1, 0, 1), s), ShapeError,
                        "row-major");
  CHECK_THROWS_AS(normalise(random_image({3}), s), ShapeError);
  const double kNan = std::numeric_limits<double>::quiet_NaN(),
               kInfinity = std::numeric_limits<double>::infinity();
  for (double bad : {kNan, kInfinity, -kInfinity}) {
    REQUIRE_THROWS_SAYING(normalise(image, {{0, bad, 0}, {1, 1, 1}}), ValueError, "of channel 1");
    REQUIRE_THROWS_SAYING(normalise(image, {{0, 0, 0}, {1, 1, bad}}), ValueError, "of channel 2");
  }
  REQUIRE_THROWS_SAYING(normalise(image, {{0, 0, 0}, {-1, 1, 1}}), ValueError, "of channel 0");
}
