#include <heed/autograd/ops/decompose.h>
#include <heed/nn/attention/spectrum.h>
#include <heed/nn/attention/svd.h>
#include <heed/tests/nn/attention/low_rank_checks.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;

namespace {

// softmax(scale (q k^T)_r) v, by the SVD of the T x S scores.
Tensor by_large_svd(const Qkv& in, int64_t rank, int64_t heads) {
  Tensor k = nn::repeat_heads(in.k, heads), v = nn::repeat_heads(in.v, heads);
  SVD d = svd(matmul(in.q, k.transpose(2, 3)));
  Tensor scores = matmul((d.u * d.s).slice(3, 0, rank), d.vt.slice(2, 0, rank));
  double scale = 1 / std::sqrt(static_cast<double>(in.q.dim(3)));
  return matmul(softmax(scores * scale, -1), v);
}

}  // namespace

TEST_CASE("svd: softmax of the truncated scores", "[svd]") {
  for (auto [t, s] : std::vector<std::pair<int64_t, int64_t>>{{7, 7}, {3, 9}, {9, 3}, {20, 17}})
    for (int64_t rank : {1, 2, 3}) {
      VariantSize size{.heads = 4, .kv_heads = 2, .queries = t, .keys = s};
      Qkv in = inputs(size);
      auto a = variant("svd:rank=" + std::to_string(rank), size);
      REQUIRE(difference(a->forward(in.q, in.k, in.v, {}), by_large_svd(in, rank, 4)) < 1e-11);
    }
}

TEST_CASE("svd: rank = D is dense", "[svd]") {
  for (DType dtype : {DType::f64, DType::f32}) {
    check_exact_limit("svd", {.heads = 4, .kv_heads = 2}, {}, dtype);
    check_exact_limit("svd", {}, masked(Mask::padding({7, 3})), dtype);
    check_exact_limit("svd", {.queries = 3, .keys = 10}, {}, dtype);
    check_exact_limit("svd", {.queries = 9, .keys = 9},
                      masked(Mask::added(numbers({9, 9}, 3, dtype))), dtype);
  }
}

TEST_CASE("svd: padding, batch, gradients, weights, edges", "[svd]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  std::string spec = GENERATE(as<std::string>(), "svd:rank=1", "svd:rank=2", "svd:rank=9",
                              "svd:rank=2,gradient=projected");
  CAPTURE(spec);
  auto a = variant(spec, s);
  check_padding(*a, s, {0, 0}, {7, 4});
  check_padding(*a, s, {2, 0}, {7, 6});
  check_padding(*a, s, {1, 3}, {6, 5});
  check_batch_independence(*a, s);
  check_edges(*a, s);
  check_weights(*a, s);
  nn::AttentionCall call = masked(Mask::padding({7, 4}) & Mask::added(numbers({7, 7}, 3)));
  check_weights(*a, s, call);
  call.dropout = 0.3f;
  call.random = {5, 2};
  check_weights(*a, s, call);
  if (spec.ends_with("projected")) {
    REQUIRE(a->traits().gradient == nn::GradientKind::surrogate);
    return;
  }
  VariantSize small{.queries = 5, .keys = 5, .d = 3, .e = 2};
  auto b = variant(spec, small);
  check_gradients(*b, small);
  check_gradients(*b, small, masked(Mask::padding({5, 3})), false);
}

TEST_CASE("svd: refused uses and options name what is wrong", "[svd]") {
  VariantSize s;
  REQUIRE_THROWS_SAYING(variant("svd:rank=0", s), ValueError, "rank");
  REQUIRE_THROWS_SAYING(variant("svd:gradient=none", s), ValueError, "exact, projected");
  REQUIRE_THROWS_SAYING(variant("svd", s, 0, DType::f64, true), ValueError,
                        "svd: causal attention is not supported: the basis");
  Qkv in = inputs(s);
  auto a = variant("svd:rank=2", s);
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, masked(Mask::window(1, 1))), ValueError,
                        "svd: a pair mask or window is not supported: the basis");
  REQUIRE_THROWS_SAYING(a->new_state(1, 1, DType::f32, kCpu), ValueError,
                        "svd: decoding is not supported");
}

TEST_CASE("svd: cost", "[svd]") {
  VariantSize s{.queries = 50, .keys = 60, .d = 16, .e = 8};
  nn::Cost c = variant("svd:rank=16", s)->cost(s.shape(), nn::Pass::forward);
  REQUIRE(c.flops == 2 * 4 * 50 * 60 * 24);
  c = variant("svd:rank=4", s)->cost(s.shape(), nn::Pass::forward);
  REQUIRE(c.flops == 2 * 4 * (50 * 60 * 12 + 110 * 256 + 16 * 16 * 16));
}

TEST_CASE("spectrum: singular values of a map, whatever the block", "[spectrum]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 23, .keys = 17, .d = 3};
  Qkv in = inputs(s);
  auto a = variant("dense", s);
  nn::AttentionCall call = masked(Mask::key_padding({17, 12}));
  std::vector<int64_t> all;
  for (int64_t i = 0; i < 23; ++i) all.push_back(i);
  Tensor map = a->weights(in.q, in.k, call, all);
  Tensor truth = svd(map).s.squeeze(2);  // [B, H, 17]
  for (int64_t block : {1, 5, 256}) {
    nn::MapSpectrum found = map_spectrum(*a, in.q, in.k, call, {.rank = 17, .block = block});
    REQUIRE(difference(found.values, truth) < 1e-12);
    REQUIRE(difference(found.energy, sum(map * map, {2, 3})) < 1e-12);
    REQUIRE(max(found.missed.reshape({-1}), 0).item() < 1e-6);
  }
  nn::MapSpectrum few =
      map_spectrum(*a, in.q, in.k, call, {.rank = 4, .oversample = 6, .power = 3});
  REQUIRE(difference(few.values, truth.slice(2, 0, 4)) < 1e-4);
}

TEST_CASE("spectrum: the range finder keeps the bound of Halko et al.", "[spectrum]") {
  // Theorem 10.5: E |P - Q Q^T P|_F <= sqrt(1 + r / (p - 1)) sqrt(sum over j > r of s_j^2).
  VariantSize s{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 40, .keys = 40, .d = 8};
  Qkv in = inputs(s);
  auto a = variant("dense", s);
  std::vector<int64_t> all;
  for (int64_t i = 0; i < 40; ++i) all.push_back(i);
  Tensor truth = svd(a->weights(in.q * 3.0, in.k, {}, all)).s.reshape({40});
  for (int64_t rank : {2, 6, 12})
    for (int64_t oversample : {3, 10}) {
      double mean_missed = 0;
      for (uint64_t seed = 0; seed < 40; ++seed)
        mean_missed +=
            map_spectrum(*a, in.q * 3.0, in.k, {},
                         {.rank = rank, .oversample = oversample, .power = 0, .key = {seed, 0}})
                .missed.item() /
            40;
      Tensor rest = truth.slice(0, rank, 40);
      double best = std::sqrt(sum(rest * rest).item());
      double r = static_cast<double>(rank), p = static_cast<double>(oversample);
      CAPTURE(rank, oversample, mean_missed, best);
      REQUIRE(mean_missed <= std::sqrt(1 + r / (p - 1)) * best);
      Tensor beyond = truth.slice(0, rank + oversample, 40);
      REQUIRE(mean_missed >= std::sqrt(sum(beyond * beyond).item()));  // no basis does better
    }
}

TEST_CASE("spectrum: effective rank", "[spectrum]") {
  VariantSize s{.batch = 1, .queries = 12, .keys = 12, .d = 3};
  Qkv in = inputs(s);
  auto a = variant("dense", s);
  // Scores of zero: each row the mean, a map of rank one. Large scores: one key a row.
  nn::MapSpectrum flat = map_spectrum(*a, in.q * 0.0, in.k, {});
  REQUIRE(effective_rank(flat, 1.0).to_vector() == std::vector<double>{1, 1});
  Tensor far = eye(12, DType::f64).slice(1, 0, 12);
  VariantSize wide{.batch = 1, .heads = 1, .kv_heads = 1, .queries = 12, .keys = 12, .d = 12};
  auto b = variant("dense", wide);
  Tensor x = far.reshape({1, 1, 12, 12}) * 100.0;
  REQUIRE(effective_rank(map_spectrum(*b, x, x, {}), 1.0).item() == 12);
  REQUIRE(effective_rank(map_spectrum(*b, x, x, {}), 0.5).item() == 6);
  REQUIRE(effective_rank(map_spectrum(*b, x, x, {}, {.rank = 3}), 0.99).item() == 4);
  nn::MapSpectrum none =
      map_spectrum(*a, in.q, in.k, masked(Mask::key_padding(std::vector<int64_t>{0})));
  REQUIRE(effective_rank(none).to_vector() == std::vector<double>{0, 0});
  REQUIRE_THROWS_SAYING(effective_rank(flat, 0), ValueError, "a share in (0, 1]");
  REQUIRE_THROWS_SAYING(map_spectrum(*a, in.q, in.k, {}, {.rank = 0}), ValueError, "rank");
}
