// Edge cases of pooling and interpolation: ties, NaN, extremes and what is refused.
#include <functional>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/interpolate.h>
#include <heed/autograd/ops/pool.h>
#include <heed/autograd/ops/pool_windows.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/error.h>
#include <heed/core/parallel.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInf = std::numeric_limits<double>::infinity();

Tensor line(const std::vector<double>& values) {
  return Tensor::from(values, {1, 1, static_cast<int64_t>(values.size())});
}

std::vector<double> gradient_of(const std::function<Tensor(const Tensor&)>& f, Tensor x) {
  x.set_requires_grad(true);
  return grad({sum(f(x))}, {x})[0].to_vector();
}

template <class E>
void refuses(const std::function<void()>& call, const std::string& part) {
  INFO(part);
  try {
    call();
    FAIL_CHECK("nothing thrown");
  } catch (const E& error) {
    CHECK_THAT(std::string(error.what()), ContainsSubstring(part));
  }
}

}  // namespace

TEST_CASE("max pooling: the first of equal elements takes the gradient") {
  auto pool = [](const Tensor& x) { return max_pool1d(x, {4}); };
  CHECK(gradient_of(pool, line({1, 3, 3, 2})) == std::vector<double>{0, 1, 0, 0});
  CHECK(gradient_of(pool, line({-kInf, -kInf, -kInf, -kInf})) == std::vector<double>{1, 0, 0, 0});
  // By rows: place (0, 1) comes before (1, 0), though its column comes later.
  auto square = [](const Tensor& x) { return max_pool2d(x, {2}); };
  CHECK(gradient_of(square, Tensor::from<double>({0, 5, 5, 0}, {1, 1, 2, 2})) ==
        std::vector<double>{0, 1, 0, 0});
}

TEST_CASE("max pooling: NaN wins, and padding is smaller than any number") {
  CHECK(max_pool1d(line({1, kNan, 9, 2, 3, 4}), {3}).to_vector()[1] == 4);
  CHECK(std::isnan(max_pool1d(line({1, kNan, 9, 2, 3, 4}), {3}).to_vector()[0]));
  auto pool = [](const Tensor& x) { return max_pool2d(x, {2}); };
  for (size_t place = 0; place < 4; ++place) {
    std::vector<double> values{7, 7, 7, 7}, expected(4);
    values[place] = kNan;
    expected[place] = 1;
    Tensor x = Tensor::from(values, {1, 1, 2, 2});
    CHECK(std::isnan(pool(x).to_vector()[0]));
    CHECK(gradient_of(pool, x) == expected);
    CHECK(std::isnan(adaptive_max_pool2d(x, {1}).to_vector()[0]));
  }
  CHECK(max_pool1d(line({-5, -7, -6}), {3}, {.stride = {2}, .padding = {1}}).to_vector() ==
        std::vector<double>{-5, -6});
}

TEST_CASE("average pooling: elements outside of a window do not matter") {
  const Tensor x = line({1, 3, kNan, kInf, 5, 7});
  std::vector<double> means = avg_pool1d(x, {2}).to_vector();
  CHECK(means[0] == 2);
  CHECK(means[2] == 6);
  // nor do gradients of outputs that an element has no part in
  Tensor y = line({1, 2, 3, 4, 5, 6});
  y.set_requires_grad(true);
  Tensor out = avg_pool1d(y, {1}, {.stride = {3}});
  std::vector<double> gradient = grad({out}, {y}, {line({kNan, 1})})[0].to_vector();
  CHECK(std::isnan(gradient[0]));
  CHECK(gradient[1] == 0);
  CHECK(gradient[3] == 1);
}

TEST_CASE("pooling: one weight a window at most, whatever the kernel's size") {
  const Tensor x = zeros({1, 1, 2000});
  for (bool include_pad : {true, false}) {
    const PoolOptions o{.stride = {1}, .padding = {400}, .count_include_pad = include_pad};
    const Windows w = pool_windows("avg_pool1d", x, 1, {1000}, o, false)[0];
    CHECK(w.out() == 1801);
    CHECK(w.weight.size() == 1801);
    CHECK(w.transposed().weight.size() == 1801);
    CHECK(w.transposed().transposed().weight == w.weight);
    CHECK(w.transposed().transposed().begin == w.begin);
    CHECK(w.transposed().transposed().count == w.count);
  }
  CHECK(adaptive_windows("adaptive_avg_pool1d", x, 1, {3}, false)[0].weight.size() == 3);
  CHECK(adaptive_windows("adaptive_max_pool1d", x, 1, {3}, true)[0].weight.size() <= 1);
  CHECK(pool_windows("max_pool1d", x, 1, {1000}, {}, true)[0].weight.size() <= 1);
}

TEST_CASE("pooling: the gradient of windows with gaps between them, and its gradient") {
  // Elements 2, 5 and 6 are seen by nobody.
  auto pool = [](const Tensor& x) { return avg_pool1d(x, {2}, {.stride = {3}}); };
  CHECK(gradient_of(pool, line({1, 2, 3, 4, 5, 6, 7})) ==
        std::vector<double>{0.5, 0.5, 0, 0.5, 0.5, 0, 0});
  Tensor x = line({1, 2, 3, 4, 5, 6, 7}).set_requires_grad(true);
  Tensor g = line({1, 10}).set_requires_grad(true);
  Tensor dx = grad({pool(x)}, {x}, {g}, {.create_graph = true})[0];
  CHECK(grad({dx}, {g}, {line({1, 3, 9, 5, 7, 9, 9})})[0].to_vector() == std::vector<double>{2, 6});
}

TEST_CASE("interpolation: a neighbour of weight 0 is not read") {
  auto linear = [](int64_t size, bool corners) {
    return [=](const Tensor& x) {
      return interpolate(
          x, {.size = {size}, .mode = InterpolateMode::linear, .align_corners = corners});
    };
  };
  CHECK(linear(4, false)(line({1, kInf, 2, 3})).to_vector() == std::vector<double>{1, kInf, 2, 3});
  CHECK(linear(1, false)(line({kInf, 2, kNan})).to_vector() == std::vector<double>{2});
  CHECK(linear(5, true)(line({1, 3, kInf})).to_vector() ==
        std::vector<double>{1, 2, 3, kInf, kInf});
  CHECK(linear(6, false)(line({1, kNan, kInf})).to_vector()[0] == 1);
  // nor does it take a gradient
  Tensor x = line({1, 2, 3}).set_requires_grad(true);
  Tensor out = linear(5, true)(x);
  CHECK(grad({out}, {x}, {line({1, 1, kInf, 1, 1})})[0].to_vector() ==
        std::vector<double>{1.5, kInf, 1.5});
}

TEST_CASE("interpolation: nearest moves elements as they are") {
  CHECK(interpolate(line({0.1, kInf, 3}), {.scale_factor = {2}}).to_vector() ==
        std::vector<double>{0.1, 0.1, kInf, kInf, 3, 3});
  CHECK(interpolate(line({2, 4}),
                    {.size = {3}, .mode = InterpolateMode::linear, .align_corners = true})
            .to_vector() == std::vector<double>{2, 3, 4});
}

TEST_CASE("pooling does not depend on the number of threads") {
  manual_seed(3);
  Tensor x = randn({3, 5, 61, 67});
  auto results = [&] {
    std::vector<double> all;
    for (const Tensor& y : {max_pool2d(x, {3}, {.stride = {2}, .padding = {1}}), avg_pool2d(x, {2}),
                            adaptive_avg_pool2d(x, {1}), interpolate(x, {.scale_factor = {2}})})
      for (double v : y.to_vector()) all.push_back(v);
    return all;
  };
  const int before = num_threads();
  set_num_threads(1);
  auto one = results();
  set_num_threads(3);
  auto three = results();
  set_num_threads(before);
  CHECK(one == three);
}

TEST_CASE("pooling: what is refused") {
  Tensor x = zeros({2, 3, 8, 8}), line1 = zeros({1, 1, 1});
  refuses<ValueError>([&] { max_pool2d(x, {0}); }, "max_pool2d: kernel is 0, expected >= 1");
  refuses<ValueError>([&] { avg_pool2d(x, {2}, {.stride = {0}}); }, "stride is 0");
  refuses<ValueError>([&] { avg_pool2d(x, {2}, {.padding = {-1}}); }, "padding is -1");
  refuses<ValueError>([&] { max_pool2d(x, {2}, {.dilation = {0}}); }, "dilation is 0");
  refuses<ValueError>([&] { max_pool2d(x, {3}, {.padding = {2}}); },
                      "padding is 2, expected at most half of the kernel's extent of 3");
  refuses<ValueError>([&] { max_pool2d(x, {int64_t{1} << 62}); }, "is too large");
  refuses<ShapeError>([&] { max_pool2d(x, {9}); }, "max_pool2d: no output left");
  refuses<ShapeError>([&] { max_pool2d(x, {2, 2, 2}); }, "kernel [2, 2, 2] has 3 sizes");
  refuses<ShapeError>([&] { max_pool2d(x, {}); }, "kernel [] has 0 sizes, expected 1 or 2");
  refuses<ShapeError>([&] { max_pool3d(x, {2}); }, "max_pool3d: [B, C, D, H, W] expected");
  refuses<ShapeError>([&] { avg_pool1d(x, {2}); }, "avg_pool1d: [B, C, L] expected");
  refuses<ShapeError>([&] { avg_pool2d(zeros({2, 3, 0, 8}), {2}); }, "without elements");
  refuses<ShapeError>(
      [&] { max_pool1d(line1, {2}, {.stride = {1}, .padding = {2}, .dilation = {3}}); },
      "lies in the padding alone");
  refuses<ValueError>([&] { avg_pool2d(x, {2}, {.dilation = {2}}); }, "no option `dilation`");
  refuses<ValueError>([&] { max_pool2d(x, {2}, {.divisor_override = 2}); }, "`divisor_override`");
  refuses<DTypeError>([&] { max_pool2d(x.to(DType::i64), {2}); }, "max_pool2d");
  refuses<DTypeError>([&] { adaptive_avg_pool2d(x.to(DType::i32), {1}); }, "adaptive_avg_pool2d");
  refuses<ValueError>([&] { adaptive_avg_pool2d(x, {0}); }, "output_size is [0]");
  refuses<ValueError>([&] { adaptive_max_pool2d(x, {2, -1}); }, "output_size is [2, -1]");
  refuses<ShapeError>([&] { adaptive_avg_pool2d(x, {1, 1, 1}); }, "has 3 sizes");
  refuses<ShapeError>([&] { adaptive_avg_pool1d(x, {1}); }, "[B, C, L] expected");
}

TEST_CASE("interpolation: what is refused") {
  Tensor x = zeros({2, 3, 8, 8});
  refuses<ValueError>([&] { interpolate(x, {}); },
                      "one of size and scale_factor expected, got none");
  refuses<ValueError>([&] { interpolate(x, {.size = {2}, .scale_factor = {2}}); }, "got both");
  refuses<ValueError>([&] { interpolate(x, {.size = {0}}); }, "0 outputs along an axis of 8");
  refuses<ValueError>([&] { interpolate(x, {.scale_factor = {0.1}}); }, "0 outputs");
  refuses<ValueError>([&] { interpolate(x, {.scale_factor = {-1}}); }, "scale_factor is -1");
  refuses<ValueError>([&] { interpolate(x, {.scale_factor = {kNan}}); }, "scale_factor is nan");
  refuses<ValueError>([&] { interpolate(x, {.size = {4}, .align_corners = true}); },
                      "align_corners is an option of the mode linear");
  refuses<ShapeError>([&] { interpolate(x, {.size = {2, 2, 2}}); }, "has 3 sizes");
  refuses<ShapeError>([&] { interpolate(x, {.scale_factor = {2, 2, 2}}); }, "has 3 numbers");
  refuses<ShapeError>([&] { interpolate(zeros({3, 8}), {.size = {2}}); }, "[B, C, L]");
  refuses<ShapeError>([&] { interpolate(zeros({1, 1, 0}), {.size = {2}}); }, "without elements");
  refuses<DTypeError>([&] { interpolate(x.to(DType::u8), {.size = {2}}); }, "interpolate");
}
