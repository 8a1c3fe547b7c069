// Losses at their edges; values and derivatives are in opcases_loss.cpp and golden_ops_test.cpp.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/losses.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {
Tensor targets(const std::vector<int64_t>& t) {
  return Tensor::from(t, {static_cast<int64_t>(t.size())});
}
constexpr CrossEntropyOptions with(double smoothing, int64_t ignore, Reduction r) {
  return {smoothing, ignore, r};
}
}  // namespace

TEST_CASE("cross-entropy without a target that counts is 0, not NaN") {
  Tensor x = randn({2, 3}).set_requires_grad(true);
  for (Reduction r : {Reduction::mean, Reduction::sum}) {
    x.zero_grad();
    Tensor loss = cross_entropy(x, targets({-100, -100}), with(0.1, -100, r));
    CHECK(loss.item() == 0);
    loss.backward();
    CHECK(x.grad().to_vector() == std::vector<double>(6, 0.0));
  }
  CHECK(cross_entropy(zeros({0, 3}), targets({})).item() == 0);
}

TEST_CASE("cross-entropy: NaN in an ignored row reaches nothing") {
  Tensor x = Tensor::from({1, 2, NAN, NAN}, {2, 2}).set_requires_grad(true);
  Tensor loss = cross_entropy(x, targets({0, -100}));
  CHECK(loss.item() == test::Approx(1 + std::log1p(std::exp(-1.0))));
  loss.backward();
  std::vector<double> g = x.grad().to_vector();
  CHECK(g[0] == test::Approx(-1 / (1 + std::exp(-1.0))));
  CHECK((g[2] == 0 && g[3] == 0));
}

TEST_CASE("cross-entropy of large logits is finite") {
  Tensor x = Tensor::from({1e4f, 0, -1e4f}, {1, 3}).set_requires_grad(true);
  Tensor loss = cross_entropy(x, targets({1}));
  CHECK(loss.item() == 1e4);
  loss.backward();
  CHECK(x.grad().to_vector() == std::vector<double>{1, -1, 0});
}

TEST_CASE(
    "binary cross-entropy at probabilities 0 and 1: the logarithm stops at -100, the gradient is "
    "no NaN") {
  Tensor p = Tensor::from({0, 1, 0, 1}, {4}).set_requires_grad(true),
         t = Tensor::from({0, 1, 1, 0}, {4});
  Tensor loss = binary_cross_entropy(p, t, Reduction::none);
  CHECK(loss.to_vector() == std::vector<double>{0, 0, 100, 100});
  loss.backward(ones({4}));
  for (double g : p.grad().to_vector()) CHECK(std::isfinite(g));
  Tensor logits = Tensor::from({-200, 200, 0}, {3});
  std::vector<double> with_logits =
      binary_cross_entropy_with_logits(logits, Tensor::from({1, 1, 0.5f}, {3}), Reduction::none)
          .to_vector();
  CHECK(with_logits[0] == 200);
  CHECK(with_logits[1] == 0);
  CHECK(with_logits[2] == test::Approx(std::log(2.0)));
}

TEST_CASE("losses refuse what does not fit") {
  Tensor x = zeros({2, 3});
  REQUIRE_THROWS_SAYING(cross_entropy(x, targets({0, 3})), ValueError,
                        "target 3 at place 1 is not in [0, 3)");
  REQUIRE_THROWS_SAYING(cross_entropy(x, targets({-1, 0})), ValueError, "target -1 at place 0");
  REQUIRE_THROWS_SAYING(cross_entropy(x, targets({0})), ShapeError,
                        "targets [2] expected, got [1]");
  REQUIRE_THROWS_SAYING(cross_entropy(x, zeros({2})), DTypeError, "targets i64 expected, got f32");
  REQUIRE_THROWS_SAYING(cross_entropy(zeros({2, 0}), targets({0, 0})), ShapeError, "V > 0");
  REQUIRE_THROWS_SAYING(cross_entropy(zeros({}), targets({})), ShapeError, "logits [.., V]");
  REQUIRE_THROWS_SAYING(cross_entropy(x, targets({0, 0}), with(1.5, -100, Reduction::mean)),
                        ValueError, "label_smoothing is 1.5");
  REQUIRE_THROWS_SAYING(cross_entropy(x.to(DType::i64), targets({0, 0})), DTypeError,
                        "f32, f64 or bf16 expected");
  REQUIRE_THROWS_SAYING(mse_loss(x, zeros({3})), ShapeError,
                        "mse_loss: prediction and target of one shape");
  REQUIRE_THROWS_SAYING(binary_cross_entropy(x, zeros({3})), ShapeError, "binary_cross_entropy");
  REQUIRE_THROWS_SAYING(binary_cross_entropy_with_logits(x, zeros({3})), ShapeError, "with_logits");
}
