#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/decompose.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/low_rank.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {

Tensor numbers(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  return Tensor(random_normal(shape, 0, 1, {seed, 0}, dtype));
}

double furthest(const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape())) return std::numeric_limits<double>::infinity();
  std::vector<double> x = a.to_vector(), y = b.to_vector();
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i)
    worst = std::isnan(x[i]) ? std::numeric_limits<double>::infinity()
                             : std::max(worst, std::fabs(x[i] - y[i]));
  return worst;
}

Tensor transposed(const Tensor& x) { return transpose(x, -1, -2); }

// The scores of rank r through their own T x S decomposition.
Tensor by_large_svd(const Tensor& q, const Tensor& k, int64_t rank) {
  SVD d = svd(matmul(q, transposed(k)));
  return matmul(slice(d.u * d.s, -1, 0, rank), slice(d.vt, -2, 0, rank));
}

Tensor cut(const std::vector<Tensor>& x, const LowRankOptions& options) {
  LogitFactors f = low_rank_logits(x[0], x[1], options);
  return matmul(f.q, transposed(f.k));
}

}  // namespace

TEST_CASE("qr and svd: orthonormal, triangular, falling, and the matrix again", "[decompose]") {
  for (const Shape& shape : {Shape{5, 3}, Shape{3, 5}, Shape{4, 4}, Shape{2, 3, 7, 2}, Shape{1, 1},
                             Shape{2, 40, 30}, Shape{0, 3, 2}, Shape{2, 0, 3}, Shape{3, 0}}) {
    Tensor x = numbers(shape, 1);
    int64_t k = std::min(x.dim(-1), x.dim(-2));
    Tensor one = k > 0 ? eye(k, DType::f64) : zeros({0, 0}, DType::f64);
    auto [q, r] = qr(x);
    auto [u, s, vt] = svd(x);
    CAPTURE(to_string(shape));
    REQUIRE(q.dim(-1) == k);
    REQUIRE(r.dim(-2) == k);
    if (x.numel() == 0) continue;
    REQUIRE(furthest(matmul(q, r), x) < 1e-12);
    REQUIRE(furthest(matmul(u * s, vt), x) < 1e-12);
    Tensor repeated = broadcast_to(one, matmul(transposed(q), q).shape());
    REQUIRE(furthest(matmul(transposed(q), q), repeated) < 1e-12);
    REQUIRE(furthest(matmul(transposed(u), u), repeated) < 1e-12);
    REQUIRE(furthest(matmul(vt, transposed(vt)), repeated) < 1e-12);
    for (int64_t i = 1; i < k; ++i) {
      REQUIRE(slice(slice(r, -2, i, i + 1), -1, 0, i).to_vector() ==
              std::vector<double>(static_cast<size_t>(r.numel() / r.dim(-1) / k * i), 0.0));
      REQUIRE(min(reshape(slice(s, -1, i - 1, i) - slice(s, -1, i, i + 1), {-1}), 0).item() >= 0);
    }
  }
  REQUIRE(furthest(svd(transposed(numbers({3, 5}, 1))).s, svd(numbers({3, 5}, 1)).s) < 1e-13);
  REQUIRE(svd(numbers({3, 2}, 1, DType::f32)).u.dtype() == DType::f32);
}

TEST_CASE("qr and svd: refusals", "[decompose]") {
  Tensor x = numbers({3, 2}, 1).set_requires_grad(true);
  REQUIRE_THROWS_SAYING(svd(x), GradError, "svd: has no gradient");
  REQUIRE_THROWS_SAYING(qr(x), GradError, "qr: has no gradient");
  REQUIRE_THROWS_SAYING(svd(numbers({3}, 1)), ShapeError, "svd: a matrix [.., M, N]");
  Tensor bad = numbers({3, 2}, 1);
  bad[1].fill_(std::nan(""));
  REQUIRE_THROWS_SAYING(svd(bad), NumericError, "svd: no result");
  REQUIRE_THROWS_SAYING(qr(bad), NumericError, "qr: no result");
}

TEST_CASE("low_rank_logits: the product is the truncated one", "[decompose]") {
  for (auto [t, s, d] : std::vector<std::array<int64_t, 3>>{
           {9, 12, 5}, {4, 12, 5}, {12, 3, 5}, {3, 3, 5}, {6, 6, 6}, {40, 30, 8}})
    for (int64_t rank = 1; rank <= std::min({t, s, d}); ++rank) {
      Tensor q = numbers({2, 3, t, d}, 1), k = numbers({2, 3, s, d}, 2);
      CAPTURE(t, s, d, rank);
      Tensor found = cut({q, k}, {rank});
      REQUIRE(furthest(found, by_large_svd(q, k, rank)) < 1e-11);
      // Eckart and Young: what is missing is what was cut off.
      Tensor missing = found - matmul(q, transposed(k));
      Tensor rest = slice(svd(matmul(q, transposed(k))).s, -1, rank, std::min(t, s));
      REQUIRE(furthest(sum(missing * missing, {2, 3}), sum(rest * rest, {2, 3})) < 1e-9);
    }
}

TEST_CASE("low_rank_logits: derivatives of the product", "[decompose]") {
  for (auto [t, s, d] : std::vector<std::array<int64_t, 3>>{
           {5, 6, 3}, {2, 6, 4}, {6, 2, 4}, {3, 3, 3}, {1, 4, 2}, {7, 5, 4}})
    for (int64_t rank = 1; rank <= std::min({t, s, d}); ++rank) {
      std::vector<Tensor> in{numbers({2, t, d}, 7).set_requires_grad(true),
                             numbers({2, s, d}, 8).set_requires_grad(true)};
      CAPTURE(t, s, d, rank);
      auto result = gradcheck([&](const std::vector<Tensor>& x) { return cut(x, {rank}); }, in);
      INFO(result.message);
      REQUIRE(result);
      auto second = gradgradcheck([&](const std::vector<Tensor>& x) { return cut(x, {rank}); }, in);
      INFO(second.message);
      REQUIRE(second);
    }
}

TEST_CASE("low_rank_logits: equal singular values and zeros stay finite", "[decompose]") {
  for (bool projected : {false, true}) {
    Tensor q = eye(4, DType::f64).set_requires_grad(true);
    Tensor k = eye(4, DType::f64).set_requires_grad(true);
    Tensor z = zeros({4, 4}, DType::f64).set_requires_grad(true);
    for (auto [a, b] : {std::pair{q, k}, {q, z}, {z, z}}) {
      std::vector<Tensor> g = grad({cut({a, b}, {2, projected})}, {a, b}, {numbers({4, 4}, 3)});
      for (const Tensor& x : g)
        for (double value : x.to_vector()) REQUIRE(std::isfinite(value));
    }
  }
}

TEST_CASE("low_rank_logits: projected is exact where nothing is cut off", "[decompose]") {
  Tensor q = numbers({6, 3}, 1).set_requires_grad(true);
  Tensor k = numbers({5, 3}, 2).set_requires_grad(true);
  Tensor cotangent = numbers({6, 5}, 3);
  auto run = [&](int64_t rank, bool projected) {
    return grad({cut({q, k}, {rank, projected})}, {q, k}, {cotangent});
  };
  std::vector<Tensor> plain = grad({matmul(q, transposed(k))}, {q, k}, {cotangent});
  for (size_t i = 0; i < 2; ++i) {
    REQUIRE(furthest(run(3, false)[i], plain[i]) < 1e-11);
    REQUIRE(furthest(run(3, true)[i], plain[i]) < 1e-11);
    REQUIRE(furthest(run(2, true)[i], run(2, false)[i]) > 1e-3);  // a surrogate
  }
}

TEST_CASE("low_rank_logits: refusals", "[decompose]") {
  Tensor q = numbers({6, 3}, 1), k = numbers({5, 3}, 2);
  REQUIRE_THROWS_SAYING(low_rank_logits(q, k, {4}), ValueError, "rank 4 is outside [1, 3]");
  REQUIRE_THROWS_SAYING(low_rank_logits(q, k, {0}), ValueError, "rank 0");
  REQUIRE_THROWS_SAYING(low_rank_logits(q, transposed(k), {1}), ShapeError,
                        "k [.., S, D] expected");
  REQUIRE_THROWS_SAYING(low_rank_logits(q, k.to(DType::f32), {1}), DTypeError, "one dtype");
}
