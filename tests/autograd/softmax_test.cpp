// Softmax at its edges; values and derivatives are in opcases_softmax.cpp.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {
const float kInf = INFINITY;
std::vector<double> gradient(const Tensor& x, Tensor (*f)(const Tensor&, int)) {
  Tensor leaf = x.clone();
  leaf.set_requires_grad(true);
  f(leaf, -1).backward(Tensor::from({1, 2, 3}, {1, 3}));
  return leaf.grad().to_vector();
}
}  // namespace

TEST_CASE("softmax of a row of -inf is zero, and so is its gradient") {
  for (int axis : {0, 1}) {
    Tensor x = Tensor::from({-kInf, -kInf, -kInf, 0, -kInf, 0}, {2, 3});
    if (axis == 0) x = x.transpose(0, 1);
    Tensor y = softmax(x, axis);
    if (axis == 0) y = y.transpose(0, 1);
    CHECK(y.to_vector() == std::vector<double>{0, 0, 0, 0.5, 0, 0.5});
    CHECK(softmax_reference(x, axis).to_vector() == softmax(x, axis).to_vector());
    CHECK(log_softmax(x, axis).to_vector() == log_softmax_reference(x, axis).to_vector());
  }
  CHECK(gradient(Tensor::from({-kInf, -kInf, -kInf}, {1, 3}), softmax) ==
        std::vector<double>{0, 0, 0});
  for (double g : gradient(Tensor::from({-kInf, 1, -kInf}, {1, 3}), log_softmax))
    CHECK(std::isfinite(g));
}

TEST_CASE("softmax keeps NaN and stays finite for large numbers") {
  for (int64_t n : {3, 16, 40}) {
    Tensor x = zeros({2, n});
    x.slice(0, 0, 1).slice(1, n - 1, n).fill_(NAN);
    std::vector<double> y = softmax(x, 1).to_vector(),
                        columns = softmax(x.transpose(0, 1), 0).to_vector();
    for (int64_t i = 0; i < n; ++i) {
      CHECK(std::isnan(y[static_cast<size_t>(i)]));
      CHECK(y[static_cast<size_t>(n + i)] == heed::test::Approx(1.0 / static_cast<double>(n)));
      CHECK(std::isnan(columns[static_cast<size_t>(2 * i)]));
    }
  }
  CHECK(softmax(Tensor::from({3e38f, -3e38f}, {2}), 0).to_vector() == std::vector<double>{1, 0});
  CHECK(log_softmax(Tensor::from({1e4f, 1e4f}, {2}), 0).to_vector()[1] ==
        heed::test::Approx(-std::log(2.0)));
}

TEST_CASE("softmax of nothing, of one, and of long rows") {
  CHECK(softmax(zeros({3, 0}), 1).shape() == Shape{3, 0});
  CHECK(softmax(zeros({0, 3}), 1).shape() == Shape{0, 3});
  CHECK(softmax(full({4, 1}, 5), -1).to_vector() == std::vector<double>(4, 1.0));
  Tensor x = randn({3, 200001});
  for (double total : sum(softmax(x, 1), {1}).to_vector()) CHECK(std::abs(total - 1) < 2e-6);
  for (double total : sum(exp(log_softmax(x, 1)), {1}).to_vector())
    CHECK(std::abs(total - 1) < 2e-6);
}

TEST_CASE("softmax refuses what it cannot do") {
  REQUIRE_THROWS_SAYING(softmax(zeros({2, 3}), 2), ShapeError, "softmax");
  REQUIRE_THROWS_SAYING(log_softmax(zeros({2, 3}), -3), ShapeError, "log_softmax");
  REQUIRE_THROWS_SAYING(softmax(arange(3), 0), DTypeError, "f32, f64 or bf16 expected, got i64");
}
