// The functions of non-local blocks: each fast form against the naive one and against plain loops.
#include <heed/nn/attention/concatenation.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/tests/nn/attention/low_rank_checks.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;

namespace {

const char* const kNames[] = {"gaussian", "embedded_gaussian", "dot_product", "concatenation"};

void compare_forms(const std::string& name, const VariantSize& s, const nn::AttentionCall& call,
                   const Qkv& in) {
  auto fast = variant(name, s), naive = variant(name + ":form=naive", s);
  naive->load_state_dict(fast->state_dict());
  std::vector<Tensor> a = run_both_ways(*fast, in, call), b = run_both_ways(*naive, in, call);
  REQUIRE(a.size() == b.size());
  for (size_t i = 0; i < a.size(); ++i) {
    CAPTURE(name, i);
    REQUIRE(difference(a[i], b[i]) < 1e-12);
  }
}

}  // namespace

TEST_CASE("non-local: fast equals naive, forward and backward", "[non_local]") {
  std::string name = GENERATE(from_range(std::begin(kNames), std::end(kNames)));
  for (VariantSize s : {VariantSize{}, VariantSize{.heads = 4, .kv_heads = 2, .queries = 9},
                        VariantSize{.queries = 3, .keys = 40, .e = 20}}) {
    Qkv in = inputs(s);
    compare_forms(name, s, {}, in);
    compare_forms(name, s, masked(Mask::key_padding({s.keys, 2})), in);
    compare_forms(name, s, masked(Mask::key_padding({0, s.keys})), in);
    nn::AttentionCall scaled;
    scaled.scale = -0.5f;
    compare_forms(name, s, scaled, in);
    // All keys are equal, and all scores exactly 0.
    in.q = in.q * 0.0, in.k = in.k * 0.0;
    compare_forms(name, s, {}, in);
  }
}

TEST_CASE("non-local: padding, batch, gradients, weights, edges", "[non_local]") {
  std::string name = GENERATE(from_range(std::begin(kNames), std::end(kNames)));
  VariantSize s{.heads = 4, .kv_heads = 2};
  auto a = variant(name, s);
  check_padding(*a, s, {0, 0}, {7, 4});
  check_padding(*a, s, {2, 1}, {7, 6});
  check_batch_independence(*a, s);
  check_edges(*a, s);
  check_weights(*a, s);
  check_weights(*a, s, masked(Mask::padding({7, 3})));
  VariantSize small{.queries = 3, .keys = 4, .d = 2, .e = 2};
  check_gradients(*variant(name, small), small);
}

TEST_CASE("non-local: concatenation is its formula, number by number", "[non_local]") {
  VariantSize s{.heads = 2, .kv_heads = 1, .queries = 5, .keys = 6};
  auto a = variant("concatenation", s);
  Tensor w = dynamic_cast<nn::ConcatenationAttention&>(*a).weight;
  Qkv in = inputs(s);
  Tensor out = a->forward(in.q, in.k, in.v, {});
  for (int64_t h = 0; h < 2; ++h)
    for (int64_t i = 0; i < 5; ++i) {
      Tensor mixed = zeros({3}, DType::f64);
      for (int64_t j = 0; j < 6; ++j) {
        double f = sum(w[h].slice(0, 0, 4) * in.q[1][h][i]).item() +
                   sum(w[h].slice(0, 4, 8) * in.k[1][0][j]).item();
        if (f > 0) mixed = mixed + in.v[1][0][j] * (f / 6);
      }
      REQUIRE(difference(out[1][h][i], mixed) < 1e-13);
    }
}

TEST_CASE("non-local: the dot product is efficient attention with norm=scaling", "[non_local]") {
  VariantSize s{.queries = 5, .keys = 8};
  Qkv in = inputs(s);
  nn::AttentionCall call = masked(Mask::key_padding({8, 3}));
  REQUIRE(difference(variant("dot_product", s)->forward(in.q, in.k, in.v, call),
                     variant("efficient:norm=scaling", s)->forward(in.q, in.k, in.v, call)) <
          1e-13);
}

TEST_CASE("non-local: no causal form, no unknown form", "[non_local]") {
  VariantSize s;
  for (std::string name : kNames) {
    REQUIRE_THROWS_SAYING(variant(name, s, 0, DType::f64, true), ValueError,
                          name + ": causal attention is not supported: it mixes the positions");
    REQUIRE_THROWS_SAYING(variant(name + ":form=slow", s), ValueError, "allowed: fast, naive");
  }
}

TEST_CASE("non-local: gaussian in MultiHeadAttention projects neither queries nor keys",
          "[non_local]") {
  nn::MultiHeadAttention a(8, {.heads = 2, .variant = "gaussian"});
  REQUIRE_FALSE(a.q_proj);
  REQUIRE_FALSE(a.k_proj);
  Tensor x = numbers({2, 5, 8}, 1, DType::f32);
  Tensor q = x.reshape({2, 5, 2, 4}).permute({0, 2, 1, 3});
  Tensor v = a.v_proj.forward(x).reshape({2, 5, 2, 4}).permute({0, 2, 1, 3});
  Tensor mixed = matmul(softmax(matmul(q, q.transpose(2, 3)), -1), v);
  Tensor want = a.out_proj.forward(mixed.permute({0, 2, 1, 3}).reshape({2, 5, 8}));
  REQUIRE(difference(a.forward(x), want) < 1e-6);
  REQUIRE_THROWS_SAYING(
      nn::MultiHeadAttention(8, {.heads = 2, .head_dim = 3, .variant = "gaussian"}), ValueError,
      "heads x head_dim must be their width: 2 x 3");
}
