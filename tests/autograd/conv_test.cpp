// What is refused, and what a convolution does not read.
#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/conv.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/core/random.h>
#include <heed/nn/conv.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("conv: what is refused, and why") {
  Tensor x = zeros({2, 4, 6, 5}), w = zeros({6, 4, 3, 3});
  REQUIRE_THROWS_SAYING(conv2d(zeros({4, 6, 5}), w), ShapeError, "4 axes expected");
  REQUIRE_THROWS_SAYING(conv1d(x, w), ShapeError, "conv1d");
  REQUIRE_THROWS_SAYING(conv2d(zeros({2, 3, 6, 5}), w), ShapeError, "has 3 channels");
  REQUIRE_THROWS_SAYING(conv2d(x, zeros({5, 2, 3, 3}), {}, {.groups = 2}), ShapeError,
                        "groups = 2");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.groups = 0}), ValueError, "groups is 0");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.stride = {0}}), ValueError, "stride is 0");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.padding = {1, -1}}), ValueError, "padding is -1");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.dilation = {0}}), ValueError, "dilation is 0");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.stride = {1, 1, 1}}), ShapeError,
                        "stride [1, 1, 1] has 3 sizes, expected 1 or 2");
  REQUIRE_THROWS_SAYING(conv2d(x, w, {}, {.dilation = {1, 3}}), ShapeError, "covers 7");
  REQUIRE_THROWS_SAYING(conv2d(x, zeros({6, 4, 0, 3})), ShapeError, "size 0");
  REQUIRE_THROWS_SAYING(conv2d(x, w, zeros({5})), ShapeError, "bias");
  REQUIRE_THROWS_AS(conv2d(x, w.to(DType::f64)), DTypeError);
  REQUIRE_THROWS_AS(conv2d(x.to(DType::i64), w.to(DType::i64)), DTypeError);
}

TEST_CASE("conv: a value that is not finite stays within its reach") {
  Tensor x = zeros({1, 1, 9, 9}), w = ones({4, 1, 3, 3});
  x.array().data<float>()[0] = std::numeric_limits<float>::quiet_NaN();
  std::vector<double> y = conv2d(x, w, Tensor(), {.padding = {1}}).to_vector();
  for (int64_t i = 0; i < 81; ++i) {
    INFO(i);
    const bool near = i / 9 < 2 && i % 9 < 2;
    REQUIRE(std::isnan(y[static_cast<size_t>(i)]) == near);
  }
}

TEST_CASE("conv: what is beyond all numbers is refused, not wrapped around") {
  const int64_t huge = std::numeric_limits<int64_t>::max();
  Tensor x = zeros({1, 2, 5}), w = zeros({1, 2, 3});
  REQUIRE_THROWS_SAYING(conv1d(x, w, {}, {.dilation = {huge}}), ValueError, "is too large");
  REQUIRE_THROWS_SAYING(conv1d(x, w, {}, {.padding = {huge / 2 + 1}}), ValueError, "is too large");
  REQUIRE_THROWS_SAYING(conv1d(x, w, {}, {.stride = {huge}}), ValueError, "is too large");
  REQUIRE_THROWS_SAYING(conv1d(zeros({1, 0, 5}), w, {}, {.groups = huge}), ShapeError,
                        "has 0 channels");
  // Places within a row or plane are 32-bit numbers.
  Tensor wide = broadcast_to(zeros({1, 1, 1}), {1, 1, int64_t{1} << 31});
  REQUIRE_THROWS_SAYING(conv1d(wide, zeros({1, 1, 1})), ShapeError, "more than 2^31 - 1 elements");
  Tensor plane = broadcast_to(zeros({1, 1, 1, 1}), {1, 1, 1 << 16, 1 << 15});
  REQUIRE_THROWS_SAYING(conv2d(plane, zeros({1, 1, 1, 1})), ShapeError, "more than 2^31 - 1");
  REQUIRE_THROWS_SAYING(conv1d(x, w, {}, {.padding = {1 << 30}}), ShapeError, "with padding");
}

TEST_CASE("conv: a stride beyond the map, forward and backward") {
  Tensor x = Tensor::from<float>({1, 2, 3, 4, 5}, {5}).reshape({1, 1, 5}).set_requires_grad(true);
  Tensor w = Tensor::from<float>({2, 3}, {1, 1, 2}).set_requires_grad(true);
  Tensor y = conv1d(x, w, {}, {.stride = {1'000'000'000'000}, .padding = {1}});
  REQUIRE(y.to_vector() == std::vector<double>{3});
  std::vector<Tensor> g = grad({y}, {x, w}, {ones({1, 1, 1})});
  REQUIRE(g[0].to_vector() == std::vector<double>{3, 0, 0, 0, 0});
  REQUIRE(g[1].to_vector() == std::vector<double>{0, 1});
}

TEST_CASE("conv: the gradient by weight takes nothing from what a tap does not read") {
  const float inf = std::numeric_limits<float>::infinity();
  for (DType dtype : {DType::f32, DType::f64}) {
    Tensor x = Tensor::from<float>({1, 2, 3, 4, inf}, {1, 1, 5}).to(dtype);
    for (int64_t channels : {1, 2, 4, 7}) {
      Tensor w = zeros({channels, 1, 3}, dtype).set_requires_grad(true);
      Tensor g = ones({1, channels, 3}, dtype);
      std::vector<double> dw = grad({conv1d(x, w)}, {w}, {g})[0].to_vector();
      for (size_t i = 0; i < dw.size(); ++i)
        REQUIRE(dw[i] == std::vector<double>{6, 9, HUGE_VAL}[i % 3]);
    }
    // The last column is read by the last taps of each row alone.
    Tensor map = ones({2, 1, 6, 7}, dtype);
    map.slice(3, 6, 7).fill_(NAN);
    Tensor w = zeros({3, 1, 2, 2}, dtype).set_requires_grad(true);
    Tensor y = conv2d(map, w);
    std::vector<double> dw = grad({y}, {w}, {ones(y.shape(), dtype)})[0].to_vector();
    for (size_t i = 0; i < dw.size(); ++i) {
      if (i % 2 == 0) REQUIRE(dw[i] == 60);
      else REQUIRE(std::isnan(dw[i]));
    }
  }
}

TEST_CASE("conv: the number of threads does not change a result") {
  // The gradient by weight adds up a sum a thread, so its last bits may differ.
  const int before = num_threads();
  for (int64_t channels : {6, 17}) {
    manual_seed(3);
    Tensor x = randn({40, channels, 12, 11}), w = randn({channels + 1, channels, 3, 3});
    x.set_requires_grad(true);
    std::vector<double> expected;
    for (int threads : {1, 2, 3}) {
      set_num_threads(threads);
      Tensor y = conv2d(x, w, Tensor(), {.stride = {2}, .padding = {1}});
      std::vector<double> got = y.to_vector(), dx = grad({sum(y * y)}, {x})[0].to_vector();
      got.insert(got.end(), dx.begin(), dx.end());
      if (expected.empty()) expected = got;
      REQUIRE(got == expected);
    }
  }
  set_num_threads(before);
}

TEST_CASE("conv: long rows are cut, so that what is packed of them stays small") {
  for (int64_t channels : {2, 20}) {
    Tensor x = zeros({1, 2, 400'000}).set_requires_grad(true);
    Tensor w = zeros({channels, 2, 3}).set_requires_grad(true);
    Tensor g = zeros({1, channels, 399'998});
    const int64_t operand = x.array().bytes();
    auto most_beside = [&](int64_t results, auto f) {
      reset_peak_memory();
      const int64_t before = memory_stats().current_bytes;
      f();
      return memory_stats().peak_bytes - before - results;
    };
    Tensor y;
    CHECK(most_beside(g.array().bytes(), [&] { y = conv1d(x, w); }) < operand);
    CHECK(most_beside(operand, [&] { grad({y}, {x}, {g}, {.retain_graph = true}); }) < operand);
    CHECK(most_beside(0, [&] { grad({y}, {w}, {g}); }) < operand);
  }
}

TEST_CASE("conv: multiply-adds are counted, forward and backward") {
  Tensor x = randn({2, 4, 8, 8}), w = randn({6, 2, 3, 3});
  x.set_requires_grad(true);
  w.set_requires_grad(true);
  FlopCounter counter;
  Tensor y = conv2d(x, w, Tensor(), {.padding = {1}, .groups = 2});
  const int64_t forward = 2 * y.numel() * 2 * 9;
  REQUIRE(counter.flops() == forward);
  sum(y).backward();
  REQUIRE(counter.flops() == 3 * forward);
}

TEST_CASE("conv layers: names, shapes, first values") {
  manual_seed(1);
  nn::Conv2d conv(4, 6, {3, 5}, {.stride = {2}, .padding = {1, 2}, .groups = 2});
  REQUIRE(conv.weight.shape() == Shape{6, 2, 3, 5});
  REQUIRE(conv.forward(randn({2, 4, 9, 8})).shape() == Shape{2, 6, 5, 4});
  REQUIRE(conv.type_name() == "Conv2d(4, 6, kernel [3, 5], stride [2], padding [1, 2], groups 2)");
  const double bound = 1 / std::sqrt(2.0 * 15);
  for (const Tensor& t : {conv.weight, conv.bias})
    for (double value : t.to_vector()) REQUIRE(std::abs(value) <= bound);
  REQUIRE(nn::Conv1d(2, 3, {4}, {.bias = false}).forward(randn({1, 2, 9})).shape() ==
          Shape{1, 3, 6});
  REQUIRE(nn::Conv3d(1, 2, {2}).forward(randn({1, 1, 3, 4, 5})).shape() == Shape{1, 2, 2, 3, 4});
  REQUIRE_THROWS_SAYING(nn::Conv2d(3, 4, {3}, {.groups = 2}), ValueError, "groups = 2 must divide");
  REQUIRE_THROWS_AS(nn::Conv2d(3, 0, {3}), ValueError);
  REQUIRE_THROWS_AS(nn::Conv2d(3, 4, {3, 3, 3}), ValueError);
  REQUIRE_THROWS_AS(nn::Conv2d(3, 4, {0}), ValueError);
}
