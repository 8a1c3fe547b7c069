#include <heed/nn/attention/landmarks.h>
#include <heed/nn/attention/nystrom.h>
#include <heed/tests/nn/attention/low_rank_checks.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;
using nn::NystromAttention;

namespace {

Tensor softmax_scores(const Tensor& q, const Tensor& k, double scale) {
  return softmax(matmul(q, k.transpose(2, 3)) * scale, -1);
}

// F Z B V as the paper writes it, for [B, H, T, D] without padding whose lengths m divides.
Tensor by_formula(const Qkv& in, int64_t m, int64_t iterations) {
  auto means = [&](const Tensor& x) {
    return mean(x.reshape({x.dim(0), x.dim(1), m, x.dim(2) / m, x.dim(3)}), {3});
  };
  double s = 1 / std::sqrt(static_cast<double>(in.q.dim(3)));
  Tensor qt = means(in.q), kt = means(in.k);
  Tensor f = softmax_scores(in.q, kt, s), w = softmax_scores(qt, kt, s),
         b = softmax_scores(qt, in.k, s);
  Tensor one = eye(m, DType::f64);
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < w.dim(0) * w.dim(1); ++i) {
    Tensor x = w.reshape({-1, m, m})[i];
    double columns = max(sum(x, {0}), 0).item(), lines = max(sum(x, {1}), 0).item();
    Tensor z = x.transpose(0, 1) / (columns * lines);
    for (int64_t j = 0; j < iterations; ++j) {
      Tensor xz = matmul(x, z);
      Tensor inner = 15.0 * one - matmul(xz, 7.0 * one - xz);
      z = matmul(z, 13.0 * one - matmul(xz, inner)) / 4.0;
    }
    rows.push_back(z);
  }
  Tensor z = stack(rows, 0).reshape(w.shape());
  return matmul(matmul(f, z), matmul(b, in.v));
}

}  // namespace

TEST_CASE("nystrom: equals the paper's formula", "[nystrom]") {
  VariantSize s{.queries = 12, .keys = 8, .d = 5};
  Qkv in = inputs(s);
  for (int64_t iterations : {1, 6, 12}) {
    auto a = variant("nystrom:landmarks=4,iterations=" + std::to_string(iterations), s);
    REQUIRE(difference(a->forward(in.q, in.k, in.v, {}), by_formula(in, 4, iterations)) < 1e-11);
  }
}

TEST_CASE("nystrom: landmarks = S and 30 iterations is dense", "[nystrom]") {
  for (DType dtype : {DType::f64, DType::f32}) {
    check_exact_limit("nystrom", {.heads = 4, .kv_heads = 2}, {}, dtype);
    check_exact_limit("nystrom", {.queries = 17, .keys = 17, .d = 8},
                      masked(Mask::padding({9, 17})), dtype);
    Mask left = Mask::padding({3, 0}, {7, 4});
    check_exact_limit("nystrom", {}, masked(left), dtype);
    check_exact_limit("nystrom", {.queries = 3, .keys = 10}, {}, dtype);
    check_exact_limit("nystrom", {.queries = 10, .keys = 3}, masked(Mask::key_padding({2, 3})),
                      dtype);
    check_exact_limit("nystrom", {.queries = 1, .keys = 1}, {}, dtype);
  }
}

TEST_CASE("nystrom: padding, batch, gradients, weights, edges", "[nystrom]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  std::string spec = GENERATE(as<std::string>(), "nystrom:landmarks=3", "nystrom:landmarks=1",
                              "nystrom:landmarks=4,ridge=0.1", "nystrom:landmarks=3,conv=3",
                              "nystrom:landmarks=64");
  CAPTURE(spec);
  auto a = variant(spec, s);
  check_padding(*a, s, {0, 0}, {7, 4});
  check_padding(*a, s, {2, 0}, {7, 6});
  check_padding(*a, s, {1, 3}, {6, 5});
  check_batch_independence(*a, s);
  check_edges(*a, s);
  check_weights(*a, s);
  check_weights(*a, s, masked(Mask::padding({7, 4})));
  check_weights(*a, s, masked(Mask::padding({1, 0}, {7, 2})));
  VariantSize small{.queries = 4, .keys = 4, .d = 2, .e = 2};
  auto b = variant(spec, small);
  check_gradients(*b, small);
  check_gradients(*b, small, masked(Mask::padding({4, 2})), false);
}

TEST_CASE("nystrom: constant values come out constant, rows sum to one", "[nystrom]") {
  VariantSize s{.queries = 33, .keys = 33, .d = 8};
  Qkv in = inputs(s);
  Tensor constant = ones(in.v.shape(), DType::f64);
  auto close = variant("nystrom:landmarks=8,iterations=30", s);
  REQUIRE(difference(close->forward(in.q, in.k, constant, {}), constant) < 1e-8);
  auto six = variant("nystrom:landmarks=8", s);
  REQUIRE(difference(six->forward(in.q, in.k, constant, {}), constant) < 5e-2);
}

TEST_CASE("nystrom: odd lengths", "[nystrom]") {
  for (int64_t n : {1, 2, 3, 17, 63, 64, 65}) {
    VariantSize s{.queries = n, .keys = n};
    Qkv in = inputs(s);
    auto a = variant("nystrom:landmarks=8", s);
    REQUIRE(all_finite(a->forward(in.q, in.k, in.v, {})));
  }
}

TEST_CASE("landmarks: means of segments whose sizes differ by one at most", "[nystrom]") {
  Tensor x = numbers({3, 1, 7, 1}, 1);
  nn::Landmarks all = nn::segment_means(x, ranges_of({}, {}, 3, 7), 3);  // 3 + 2 + 2
  REQUIRE_FALSE(all.end().defined());
  REQUIRE_THAT(all.means[1][0][0].item(), WithinAbs(mean(x[1][0].slice(0, 0, 3)).item(), 1e-14));
  REQUIRE_THAT(all.means[1][0][2].item(), WithinAbs(mean(x[1][0].slice(0, 5, 7)).item(), 1e-14));
  nn::Landmarks some = nn::segment_means(x, ranges_of({0, 2, 4}, {7, 6, 4}, 3, 7), 3);
  REQUIRE(some.end() == Lengths{3, 3, 0});
  REQUIRE(difference(some.means[0], all.means[0]) < 1e-14);
  REQUIRE_THAT(some.means[1][0][0].item(), WithinAbs(mean(x[1][0].slice(0, 2, 4)).item(), 1e-14));
  REQUIRE_THAT(some.means[1][0][1].item(), WithinAbs(x[1][0][4].item(), 1e-14));
  REQUIRE(all_zero(some.means[2]));
  REQUIRE(nn::segment_means(x, ranges_of({}, {}, 3, 7), 50).means.dim(2) == 7);
}

TEST_CASE("landmarks: the pseudo-inverse, tall and wide, and that of zero", "[nystrom]") {
  for (auto [rows, columns] : {std::pair<int64_t, int64_t>{4, 4}, {3, 5}, {5, 3}}) {
    Tensor w = softmax(numbers({2, rows, columns}, 3), -1);
    Tensor z = nn::iterated_pseudo_inverse(w, 40);
    REQUIRE(difference(matmul(matmul(w, z), w), w) < 1e-10);
    REQUIRE(difference(matmul(matmul(z, w), z), z) < 1e-8);
    Tensor wz = matmul(w, z), zw = matmul(z, w);
    REQUIRE(difference(wz.transpose(1, 2), wz) < 1e-8);
    REQUIRE(difference(zw.transpose(1, 2), zw) < 1e-8);
  }
  REQUIRE(all_zero(nn::iterated_pseudo_inverse(zeros({2, 3, 3}, DType::f64), 6)));
}

TEST_CASE("nystrom: the ridge is Tikhonov's", "[nystrom]") {
  VariantSize s{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 4, .keys = 4};
  Qkv in = inputs(s);
  double ridge = 0.05, scale = 0.5;
  Tensor w = softmax_scores(in.q, in.k, scale);  // landmarks are the tokens: F = W = B
  auto a = variant("nystrom:landmarks=4,iterations=40,ridge=0.05", s);
  Tensor out = a->forward(in.q, in.k, in.v, {});
  // X = (W^T W + ridge I)^-1 W^T (W V) solves its normal equations; the output is W X.
  Tensor gram = matmul(w.transpose(2, 3), w) + ridge * eye(4, DType::f64);
  Tensor right = matmul(w.transpose(2, 3), matmul(w, in.v));
  Tensor x = matmul(nn::iterated_pseudo_inverse(w, 60), out);
  REQUIRE(difference(matmul(gram, x), right) < 1e-7);
}

TEST_CASE("nystrom: refused uses and options name what is wrong", "[nystrom]") {
  VariantSize s;
  REQUIRE_THROWS_SAYING(variant("nystrom:landmarks=0", s), ValueError, "landmarks");
  REQUIRE_THROWS_SAYING(variant("nystrom:conv=4", s), ValueError,
                        "nystrom: conv=4: an odd kernel size expected");
  REQUIRE_THROWS_SAYING(variant("nystrom:ridge=-1", s), ValueError, "ridge");
  REQUIRE_THROWS_SAYING(variant("nystrom", s, 0, DType::f64, true), ValueError,
                        "nystrom: causal attention is not supported: landmarks");
  VariantSize cross{.queries = 3};
  Qkv in = inputs(cross);
  REQUIRE_THROWS_SAYING(variant("nystrom:conv=3", cross)->forward(in.q, in.k, in.v, {}), ValueError,
                        "nystrom: cross-attention (3 queries, 7 keys) is not supported: conv");
  auto a = variant("nystrom", cross);
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, masked(Mask::window(1, 1))), ValueError,
                        "nystrom: a pair mask or window");
  REQUIRE_THROWS_SAYING(a->new_state(1, 1, DType::f32, kCpu), ValueError,
                        "nystrom: decoding is not supported");
  nn::AttentionCall drop;
  drop.dropout = 0.1f;
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, drop), ValueError, "nystrom: dropout");
}

TEST_CASE("nystrom: cost", "[nystrom]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 50, .keys = 60, .d = 16, .e = 8};
  auto a = variant("nystrom:landmarks=10", s);
  int64_t across = 2 * 2 * 4 * (10 * 60 + 50 * 10),
          core = 2 * 4 * (2 * 10 * 10 * 24 + 6 * 8 * 1000);
  REQUIRE(a->cost(s.shape(), nn::Pass::forward).flops == across * 24 + core);
  REQUIRE(a->cost(s.shape(), nn::Pass::backward).flops == across * (48 + 16) + 2 * core);
}
