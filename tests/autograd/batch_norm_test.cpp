// Batch norm and group norm at their edges; values and derivatives are in opcases_image_norm.cpp,
// layers in tests/nn/batch_norm_test.cpp.
#include <cmath>
#include <functional>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/batch_norm.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/group_norm.h>
#include <heed/autograd/ops/norm.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

using namespace heed;
using namespace heed::test;

namespace {
const Tensor kNone;
Tensor trained(const Tensor& x) { return batch_norm_training(x, kNone, kNone).y; }

class Threads {
 public:
  explicit Threads(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Threads() { set_num_threads(before_); }
  Threads(const Threads&) = delete;

 private:
  int before_;
};
}  // namespace

TEST_CASE("batch norm: the batch's mean and its variance with correction 1") {
  for (const Shape& shape : {Shape{2, 3, 50, 100}, Shape{200, 3}, Shape{5, 1, 9000}}) {
    Tensor x = randn(shape, DType::f64) * 3 + 1;
    auto [y, m, v] = batch_norm_training(x, kNone, kNone);
    Shape axes = {0};
    for (int i = 2; i < x.rank(); ++i) axes.push_back(i);
    CHECK(close(m.to_vector(), mean(x, axes).to_vector(), 1e-13, 1));
    CHECK(close(v.to_vector(), var(x, axes).to_vector(), 1e-13, 1));
    CHECK_FALSE(m.requires_grad());
  }
  Tensor x = randn({4, 3, 7}, DType::bf16).set_requires_grad(true);
  BatchNormOutput out = batch_norm_training(x, kNone, kNone);
  CHECK(out.mean.dtype() == DType::f32);
  CHECK(out.y.requires_grad());
  CHECK_FALSE(out.var.requires_grad());
}

TEST_CASE("batch and group norm far from zero lose nothing to cancellation") {
  // What f32 keeps of numbers near 10,000 is the input; the result is exact for that.
  Tensor x = (randn({30, 2, 400}, DType::f64) + 10000).to(DType::f32);
  Tensor wide = x.to(DType::f64);
  CHECK(close(trained(x).to_vector(), trained(wide).to_vector(), 1e-6, 1));
  CHECK(close(batch_norm_training(x, kNone, kNone).var.to_vector(),
              batch_norm_training(wide, kNone, kNone).var.to_vector(), 1e-6, 1));
  CHECK(close(group_norm(x, 1, kNone, kNone).to_vector(),
              group_norm(wide, 1, kNone, kNone).to_vector(), 1e-6, 1));
  Tensor g = randn(x.shape());
  x.set_requires_grad(true), wide.set_requires_grad(true);
  auto of = [](const Tensor& y, const Tensor& at, const Tensor& cotangent) {
    return grad({y}, {at}, {cotangent})[0].to_vector();
  };
  CHECK(close(of(trained(x), x, g), of(trained(wide), wide, g.to(DType::f64)), 1e-6, 1));
}

TEST_CASE("batch and group norm of finite numbers whose squares overflow f32") {
  const double inf = HUGE_VAL;
  for (DType dtype : {DType::f32, DType::bf16})
    for (double size : {1e19, 1e20, 1e38}) {
      INFO(size);
      const double seen = Tensor::from(std::vector<double>{size}, {1}).to(dtype).item();
      std::vector<double> signs(700), numbers(700);
      for (size_t i = 0; i < signs.size(); ++i) {
        signs[i] = i % 2 ? -1 : 1;
        numbers[i] = signs[i] * size;
      }
      Tensor x = Tensor::from(numbers, {7, 1, 100}).to(dtype);
      auto [y, m, v] = batch_norm_training(x, kNone, kNone);
      CHECK(close(y.to_vector(), signs, 1e-6, 1));
      CHECK(m.to_vector() == std::vector<double>{0});
      // The variance itself is beyond f32, or just within it.
      if (size > 2e19) CHECK(v.item() == inf);
      else CHECK(std::abs(v.item() / (seen * seen) - 700.0 / 699) < 1e-6);
      CHECK(close(group_norm(x, 1, kNone, kNone).to_vector(), signs, 1e-6, 1));
    }
  // An infinite number is no finite one: NaN, as before.
  Tensor x = Tensor::from<float>({1, 2, HUGE_VALF, 3}, {4, 1});
  for (double value : trained(x).to_vector()) CHECK(std::isnan(value));
}

TEST_CASE("a constant channel gives the bias, a NaN its own channel only") {
  Tensor bias = Tensor::from({0.5, 2}, {2});
  for (double value : {0.1, 1e6, -3.3}) {
    auto [y, m, v] = batch_norm_training(full({3, 2, 70}, value), kNone, bias);
    CHECK(y[1][0].to_vector() == std::vector<double>(70, 0.5));
    CHECK(v.to_vector() == std::vector<double>{0, 0});
  }
  Tensor x = randn({4, 2, 30});
  x[2].slice(0, 1, 2).slice(1, 7, 8).fill_(NAN);
  for (bool relu : {false, true}) {
    std::vector<double> y = batch_norm_training(x, kNone, kNone, {.relu = relu}).y.to_vector();
    for (size_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y[i]) == (i / 30 % 2 == 1));
  }
  std::vector<double> y = group_norm(x, 2, kNone, kNone).to_vector();
  for (size_t i = 0; i < y.size(); ++i) CHECK(std::isnan(y[i]) == (i / 30 == 5));
}

TEST_CASE("batch norm: the same bits for any number of threads where channels are not cut") {
  Tensor x = randn({6, 8, 60, 60}).set_requires_grad(true), w = randn({8}).set_requires_grad(true);
  Tensor g = randn(x.shape());
  auto run = [&](int threads) {
    Threads scope(threads);
    Tensor y = batch_norm_training(x, w, kNone, {.relu = true}).y;
    auto gradients = grad({y}, {x, w}, {g});
    return std::vector{y.to_vector(), gradients[0].to_vector(), gradients[1].to_vector()};
  };
  auto one = run(1);
  CHECK(run(2) == one);
  CHECK(run(4) == one);
  CHECK(run(3) == run(3));  // 8 channels on 3 threads are cut
}

TEST_CASE("batch norm saves x and, behind relu, the result; a residual is not kept") {
  Tensor x = randn({16, 8, 32, 32}).set_requires_grad(true);
  Tensor r = randn(x.shape()).set_requires_grad(true);
  const int64_t bytes = x.array().bytes(), before = memory_stats().current_bytes;
  Tensor y = batch_norm_training(x, kNone, kNone, {.relu = true, .residual = r * 1.0}).y;
  CHECK(memory_stats().current_bytes - before < 2 * bytes);
  y.backward(randn(x.shape()));
  CHECK(r.grad().shape() == r.shape());
}

TEST_CASE("batch norm of a residual alone, and with inputs that take no gradient") {
  Tensor x = randn({4, 3, 9}), r = randn(x.shape()).set_requires_grad(true), g = randn(x.shape());
  Tensor y = batch_norm_training(x, kNone, kNone, {.relu = true, .residual = r}).y;
  Tensor mask = greater(y.detach(), 0).to(DType::f32);
  CHECK(grad({y}, {r}, {g})[0].to_vector() == (g * mask).to_vector());
  Tensor z = batch_norm_training(x, kNone, kNone, {.residual = r}).y;
  CHECK(grad({z}, {r}, {g})[0].to_vector() == g.to_vector());
  Tensor b = randn({3}).set_requires_grad(true);
  Tensor given = batch_norm(x, zeros({3}), ones({3}), kNone, b);
  CHECK(close(grad({given}, {b}, {g})[0].to_vector(), sum(g, {0, 2}).to_vector(), 1e-6, 1));
}

TEST_CASE("batch and group norm refuse what does not fit") {
  Tensor x = zeros({2, 3, 4}), v = ones({3});
  REQUIRE_THROWS_SAYING(batch_norm_training(zeros({3}), kNone, kNone), ShapeError,
                        "x [B, C, ...] expected, got [3]");
  REQUIRE_THROWS_SAYING(batch_norm_training(x, zeros({4}), kNone), ShapeError,
                        "weight of shape [3] expected, got [4]");
  REQUIRE_THROWS_SAYING(batch_norm_training(x, kNone, zeros({3}, DType::f64)), DTypeError,
                        "bias is f64, x is f32");
  REQUIRE_THROWS_SAYING(batch_norm_training(x, kNone, kNone, {.residual = zeros({3})}), ShapeError,
                        "residual [3] differ");
  REQUIRE_THROWS_SAYING(
      batch_norm_training(x, kNone, kNone, {.residual = zeros({2, 3, 4}, DType::f64)}), DTypeError,
      "residual is f64");
  REQUIRE_THROWS_SAYING(batch_norm_training(x, kNone, kNone, {.eps = -1}), ValueError, "eps is -1");
  REQUIRE_THROWS_SAYING(batch_norm_training(arange(4).reshape({2, 2}), kNone, kNone), DTypeError,
                        "batch_norm_training: f32, f64 or bf16 expected");
  for (const Shape& shape : {Shape{1, 3}, Shape{1, 3, 1, 1}, Shape{0, 3, 4}})
    REQUIRE_THROWS_SAYING(batch_norm_training(zeros(shape), kNone, kNone), ValueError,
                          "expected more than 1 value per channel when training");
  REQUIRE_THROWS_SAYING(batch_norm(x, kNone, v, kNone, kNone), ValueError, "mean is undefined");
  REQUIRE_THROWS_SAYING(batch_norm(x, v, zeros({4}), kNone, kNone), ShapeError,
                        "var of shape [3] expected");
  REQUIRE_THROWS_SAYING(batch_norm(x.to(DType::bf16), v.to(DType::bf16), v, kNone, kNone),
                        DTypeError, "mean is bf16, f32 expected for x of bf16");
  REQUIRE_THROWS_SAYING(batch_norm(x, v, ones({3}).set_requires_grad(true), kNone, kNone),
                        GradError, "var requires a gradient");
  Tensor count = zeros({}, DType::i64);
  REQUIRE_THROWS_SAYING(update_running_(v, v, 1.5, v, v, count), ValueError, "momentum is 1.5");
  REQUIRE_THROWS_SAYING(update_running_(v, v, 0.1, v, zeros({2}), count), ShapeError, "[2]");
  REQUIRE_THROWS_SAYING(update_running_(v, v, 0.1, v, zeros({3}, DType::f64), count), DTypeError,
                        "of f32 or of f64 expected");
  REQUIRE_THROWS_SAYING(update_running_(v, v, 0.1, zeros({3, 2}).transpose(0, 1)[0], v, count),
                        ShapeError, "contiguous vectors expected, got one of [3] with stride 2");
  REQUIRE_THROWS_SAYING(update_running_(v, v, 0.1, v, v, v), DTypeError, "is f32, i64 expected");
  REQUIRE_THROWS_SAYING(update_running_(v, v, 0.1, v, v, zeros({1}, DType::i64)), ShapeError,
                        "num_batches_tracked of shape [] expected, got [1]");
  REQUIRE_THROWS_SAYING(group_norm(x, 2, kNone, kNone), ValueError,
                        "2 groups do not divide the 3 channels");
  REQUIRE_THROWS_SAYING(group_norm(x, 0, kNone, kNone), ValueError, "0 groups");
  REQUIRE_THROWS_SAYING(group_norm(zeros({3}), 1, kNone, kNone), ShapeError, "x [B, C, ...]");
}

TEST_CASE("norms of no sample have derivatives of any order") {
  using Norm = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>;
  const Norm norms[] = {
      [](auto& x, auto& w, auto& b) { return group_norm(x, 2, w, b); },
      [](auto& x, auto& w, auto& b) { return batch_norm(x, zeros({4}), ones({4}), w, b); },
      [](auto& x, auto& w, auto& b) { return layer_norm(x, w, b); },
      [](auto& x, auto& w, auto& b) { return add_layer_norm(x, x, w, b); },
      [](auto& x, auto& w, auto&) { return rms_norm(x, w); },
  };
  for (const Shape& shape : {Shape{0, 4, 4}, Shape{0, 4}, Shape{2, 4, 0, 4}})
    for (const Norm& norm : norms) {
      INFO(to_string(shape) << ", norm " << &norm - norms);
      Tensor x = zeros(shape).set_requires_grad(true), w = ones({4}).set_requires_grad(true);
      Tensor b = ones({4}).set_requires_grad(true), g = zeros(shape).set_requires_grad(true);
      Tensor y = norm(x, w, b);
      CHECK(y.shape() == shape);
      auto first = grad({y}, {x, w}, {g}, {.create_graph = true});
      CHECK(first[0].shape() == shape);
      CHECK(first[1].to_vector() == std::vector<double>(4, 0));
      CHECK(grad({first[1]}, {g}, {ones({4})})[0].shape() == shape);
    }
}

TEST_CASE("group norm of no sample, and of groups of one value") {
  CHECK(group_norm(zeros({0, 4, 3}), 2, kNone, kNone).shape() == Shape{0, 4, 3});
  Tensor w = ones({4}).set_requires_grad(true), x = zeros({0, 4}).set_requires_grad(true);
  CHECK(grad({group_norm(x, 2, w, kNone)}, {w}, {zeros({0, 4})})[0].to_vector() ==
        std::vector<double>(4, 0));
  Tensor bias = Tensor::from({1, 2}, {2});
  CHECK(group_norm(randn({1, 2}), 2, kNone, bias).to_vector() == std::vector<double>{1, 2});
}
