// Edge cases of pairwise_relu: ties, pairs that are all hidden by the relu, sums that nearly
// cancel, many threads, numbers that are none, and operands that do not fit.
#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/pairwise_relu.h>
#include <heed/core/parallel.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {

Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  return Tensor(random_normal(shape, 0, 1, {seed, 0})).to(dtype);
}

// Output and the gradients of a, b and v.
std::vector<Tensor> both_ways(decltype(pairwise_relu) f, const std::vector<Tensor>& in) {
  std::vector<Tensor> x;
  for (const Tensor& t : in) x.push_back(t.detach().clone().set_requires_grad(true));
  Tensor out = f(x[0], x[1], x[2]);
  std::vector<Tensor> all = grad({out}, x, {normal(out.shape(), 99, out.dtype())});
  all.insert(all.begin(), out);
  return all;
}

double difference(const Tensor& a, const Tensor& b) {
  std::vector<double> x = a.to(DType::f64).to_vector(), y = b.to(DType::f64).to_vector();
  REQUIRE(x.size() == y.size());
  double most = 0, size = 1e-300;
  for (size_t i = 0; i < x.size(); ++i) {
    if (!(std::fabs(x[i] - y[i]) <= most)) most = std::fabs(x[i] - y[i]);  // a NaN too
    if (std::isnan(most)) return most;
    size = std::max(size, std::fabs(y[i]));
  }
  return most / size;
}

bool all_zero(const Tensor& t) {
  for (double x : t.to_vector())
    if (!(x == 0)) return false;
  return true;
}

void compare(const std::vector<Tensor>& in, double tolerance) {
  std::vector<Tensor> fast = both_ways(pairwise_relu, in);
  std::vector<Tensor> slow = both_ways(pairwise_relu_reference, in);
  for (size_t i = 0; i < fast.size(); ++i) {
    CAPTURE(i);
    REQUIRE(difference(fast[i], slow[i]) <= tolerance);
  }
}

}  // namespace

TEST_CASE("pairwise_relu: pairs that sum to 0 count for nothing, forward and backward") {
  // Whole numbers: many keys are equal, and many sums are exactly 0.
  auto whole = [](const Shape& shape, uint64_t seed) {
    std::vector<double> x = normal(shape, seed).to_vector();
    for (double& v : x) v = std::round(v);
    return Tensor::from(x, shape);
  };
  compare({whole({2, 2, 40}, 1), whole({2, 2, 50}, 2), normal({2, 1, 50, 5}, 3)}, 1e-13);
  Tensor zero = zeros({1, 1, 3}, DType::f64);
  for (const Tensor& t : both_ways(pairwise_relu, {zero, -zero, normal({1, 1, 3, 2}, 1)}))
    REQUIRE(all_zero(t));
}

TEST_CASE("pairwise_relu: sums that are all negative, all positive, or of one sign a row") {
  Tensor a = normal({1, 2, 9}, 1), b = normal({1, 2, 7}, 2), v = normal({1, 2, 7, 18}, 3);
  for (const Tensor& t : both_ways(pairwise_relu, {a - 50.0, b, v})) REQUIRE(all_zero(t));
  compare({a + 50.0, b, v}, 1e-13);
  compare({a * 50.0, b, v}, 1e-13);
}

TEST_CASE("pairwise_relu: a query or key of -inf counts for nothing") {
  const double inf = std::numeric_limits<double>::infinity();
  auto row = [](std::vector<double> x) {
    const auto n = static_cast<int64_t>(x.size());
    return Tensor::from(std::move(x), {1, 1, n});
  };
  Tensor a = row({-inf, 1, -inf, -0.5}), b = row({0.25, -inf, 1}), v = normal({1, 1, 3, 5}, 3);
  compare({a, b, v}, 1e-14);
  for (const Tensor& t : both_ways(pairwise_relu, {row({-inf, -inf}), b, v})) REQUIRE(all_zero(t));
  for (const Tensor& t : both_ways(pairwise_relu, {a, row({-inf, -inf, -inf}), v}))
    REQUIRE(all_zero(t));
}

TEST_CASE("pairwise_relu: f32 keeps its digits over long sums, since they are held in double") {
  // a + b is small beside a and b, so that a G and K nearly cancel.
  Tensor a = 0.1 * normal({1, 1, 300}, 1) + 100.0, b = 0.1 * normal({1, 1, 5000}, 2) - 100.0;
  Tensor v = normal({1, 1, 5000, 3}, 3) + 1.0;
  std::vector<Tensor> rough, exact;
  for (const Tensor& x : {a, b, v}) {
    rough.push_back(x.to(DType::f32));
    exact.push_back(rough.back().to(DType::f64));
  }
  Tensor fast = pairwise_relu(rough[0], rough[1], rough[2]);
  REQUIRE(difference(fast, pairwise_relu_reference(exact[0], exact[1], exact[2])) < 2e-7);
}

TEST_CASE("pairwise_relu: the same bits at any number of threads") {
  std::vector<Tensor> in{normal({1, 2, 900}, 1, DType::f32), normal({1, 2, 700}, 2, DType::f32),
                         normal({1, 1, 700, 50}, 3, DType::f32)};
  int before = num_threads();
  set_num_threads(1);
  std::vector<Tensor> one = both_ways(pairwise_relu, in);
  set_num_threads(3);
  std::vector<Tensor> three = both_ways(pairwise_relu, in);
  set_num_threads(before);
  for (size_t i = 0; i < one.size(); ++i) REQUIRE(difference(three[i], one[i]) == 0);
}

TEST_CASE("pairwise_relu: NaN is passed on, not lost in the order") {
  double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor a = normal({1, 1, 4}, 1), b = normal({1, 1, 5}, 2), v = normal({1, 1, 5, 2}, 3);
  for (double bad : {nan, -nan}) {
    Tensor spoiled = b.clone();
    spoiled.slice(2, 2, 3).fill_(bad);
    for (double y : pairwise_relu(a, spoiled, v).to_vector()) REQUIRE(std::isnan(y));
    spoiled = a.clone();
    spoiled.slice(2, 1, 2).fill_(bad);
    std::vector<double> y = pairwise_relu(spoiled, b, v).to_vector();
    for (size_t i = 0; i < y.size(); ++i) REQUIRE(std::isnan(y[i]) == (i / 2 == 1));
  }
}

TEST_CASE("pairwise_relu: nothing to sum, and operands that do not fit") {
  Tensor a = normal({2, 2, 3}, 1), b = normal({2, 2, 4}, 2), v = normal({2, 1, 4, 5}, 3);
  std::vector<Tensor> none = both_ways(pairwise_relu, {a, b.slice(2, 0, 0), v.slice(2, 0, 0)});
  for (const Tensor& t : none) REQUIRE(all_zero(t));
  none = both_ways(pairwise_relu, {a.slice(2, 0, 0), b, v});
  for (const Tensor& t : none) REQUIRE(all_zero(t));
  REQUIRE(pairwise_relu(a, b, v.slice(3, 0, 0)).shape() == Shape{2, 2, 3, 0});
  REQUIRE_THROWS_SAYING(pairwise_relu(a, b.slice(1, 0, 1), v), ShapeError, "b is [2, 1, 4]");
  REQUIRE_THROWS_SAYING(pairwise_relu(a, b, v.slice(2, 0, 3)), ShapeError, "v is [2, 1, 3, 5]");
  REQUIRE_THROWS_SAYING(pairwise_relu(a, b, normal({2, 3, 4, 5}, 1)), ShapeError,
                        "Hkv a divisor of 2");
  REQUIRE_THROWS_SAYING(pairwise_relu(a, b, v[0]), ShapeError, "v [B, Hkv, S, E] expected");
  REQUIRE_THROWS_SAYING(pairwise_relu(a, b, v.to(DType::f32)), DTypeError, "one dtype expected");
}
