#include <heed/nn/attention/linformer.h>
#include <heed/tests/nn/attention/low_rank_checks.h>

using namespace heed;
using namespace heed::test;
using nn::LinformerAttention;
using nn::Mask;

TEST_CASE("linformer: equals the formula", "[linformer]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 5, .keys = 9};
  for (const char* spec :
       {"linformer:k=3", "linformer:k=3,share=kv", "linformer:k=4,share=layer"}) {
    auto a = variant(spec, s, 12);
    auto& l = dynamic_cast<LinformerAttention&>(*a);
    Qkv in = inputs(s);
    Tensor e = l.E.slice(1, 0, 9), f = l.value_projection().slice(1, 0, 9);
    Tensor k = nn::repeat_heads(matmul(e, in.k), 4), v = nn::repeat_heads(matmul(f, in.v), 4);
    Tensor map = softmax(matmul(in.q, k.transpose(2, 3)) * 0.5, -1);
    REQUIRE(difference(a->forward(in.q, in.k, in.v, {}), matmul(map, v)) < 1e-12);
    REQUIRE(l.F.defined() == (std::string(spec) == "linformer:k=3"));
  }
}

TEST_CASE("linformer: k = n and E = F = I is dense, shorter and empty rows too", "[linformer]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  for (DType dtype : {DType::f64, DType::f32}) {
    check_exact_limit("linformer", s, {}, dtype);
    check_exact_limit("linformer", s, masked(Mask::padding({7, 3})), dtype);
    check_exact_limit("linformer", s, masked(Mask::key_padding({0, 6})), dtype);
    check_exact_limit("linformer:share=kv", {.queries = 3, .keys = 10}, {}, dtype);
  }
}

TEST_CASE("linformer: padding, batch, gradients, weights, edges", "[linformer]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  int64_t k = GENERATE(1, 3, 32);
  auto a = variant("linformer:k=" + std::to_string(k), s);
  check_padding(*a, s, {0, 0}, {7, 4});
  check_padding(*a, s, {0, 0}, {2, 5});
  check_batch_independence(*a, s);
  check_edges(*a, s);
  nn::AttentionCall call = masked(Mask::padding({7, 4}));
  check_weights(*a, s);
  check_weights(*a, s, call);
  call.dropout = 0.4f;
  call.random = {3, 1};
  check_weights(*a, s, call);
  VariantSize small{.queries = 3, .keys = 4, .d = 2, .e = 2};
  auto b = variant("linformer:k=" + std::to_string(k), small, 6);
  check_gradients(*b, small);
  check_gradients(*b, small, masked(Mask::key_padding({4, 2}) & Mask::query_padding({2, 3})));
}

TEST_CASE("linformer: odd lengths up to its maximum, and not beyond", "[linformer]") {
  for (int64_t n : {1, 2, 3, 17, 31, 32}) {
    VariantSize s{.queries = 5, .keys = n};
    Qkv in = inputs(s);
    Tensor out = variant("linformer:k=16", s)->forward(in.q, in.k, in.v, {});
    REQUIRE(all_finite(out));
    if (n == 1) REQUIRE(out.shape() == Shape{2, 2, 5, 3});
  }
  VariantSize s{.queries = 5, .keys = 33};
  Qkv in = inputs(s);
  auto a = variant("linformer:k=16", s);
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, {}), ValueError,
                        "linformer: a sequence of 33 keys is longer than max_length 32");
  // Padding may reach beyond: no valid key stands there.
  REQUIRE(all_finite(a->forward(in.q, in.k, in.v, masked(Mask::key_padding({32, 5})))));
}

TEST_CASE("linformer: refused uses and options name what is wrong", "[linformer]") {
  VariantSize s;
  REQUIRE_THROWS_SAYING(variant("linformer:k=8", s, 0), ValueError, "linformer: max_length is 0");
  REQUIRE_THROWS_SAYING(variant("linformer:k=0", s), ValueError, "k");
  REQUIRE_THROWS_SAYING(variant("linformer:share=all", s), ValueError, "none, kv, layer");
  REQUIRE_THROWS_SAYING(variant("linformer:rank=3", s), ValueError, "rank");
  REQUIRE_THROWS_SAYING(variant("linformer:k=8", s, 32, DType::f64, true), ValueError,
                        "linformer: causal attention is not supported: each projected key mixes");
  auto a = variant("linformer:k=8", s);
  Qkv in = inputs(s);
  Mask left = Mask::key_padding({0, 1}, {7, 7});
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, masked(left)), ValueError,
                        "row 1 begins at token 1, where 0 is expected) is not supported: E and F");
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, masked(Mask::window(1, 1))), ValueError,
                        "linformer: a pair mask or window is not supported");
  REQUIRE_THROWS_SAYING(
      a->forward(in.q, in.k, in.v, masked(Mask::added(zeros({7, 7}, DType::f64)))), ValueError,
      "linformer: a bias");
  REQUIRE(dynamic_cast<LinformerAttention&>(*variant("linformer:k=99", s)).projected_length() ==
          32);
}

TEST_CASE("linformer: one matrix for all layers of a stack", "[linformer]") {
  nn::SharedParameters shared;
  nn::AttentionConfig c{.heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4, .max_length = 9};
  auto make = [&](const char* spec) { return nn::make_attention(spec, c, shared); };
  auto e = [](nn::Attention& a) { return dynamic_cast<LinformerAttention&>(a).E.impl(); };
  auto a = make("linformer:k=3,share=layer"), b = make("linformer:k=3,share=layer"),
       other = make("linformer:k=4,share=layer"), own = make("linformer:k=3,share=kv");
  REQUIRE(e(*a) == e(*b));
  REQUIRE(e(*a) != e(*other));
  REQUIRE(e(*a) != e(*own));
  nn::MultiHeadAttentionConfig attention{
      .heads = 2, .max_length = 9, .variant = "linformer:k=3,share=layer"};
  nn::TransformerEncoder encoder(
      {.layer = {.width = 8, .hidden = 8, .attention = attention}, .layers = 2});
  int64_t found = 0;
  for (const auto& [name, tensor] : encoder.named_parameters())
    found += name.ends_with("self_attn.attention.E");
  REQUIRE(found == 1);
}

TEST_CASE("linformer: a memory absorbed in pieces decodes as forward", "[linformer]") {
  VariantSize s{.batch = 3, .heads = 4, .kv_heads = 2, .queries = 6, .keys = 9};
  auto a = variant("linformer:k=5", s, 20);
  Qkv in = inputs(s);
  std::vector<int64_t> lengths{9, 2, 6};
  Tensor whole = a->forward(in.q, in.k, in.v, masked(Mask::key_padding(lengths)));
  auto part = [](const Tensor& x, int64_t from, int64_t to) { return x.slice(2, from, to); };
  for (int64_t cut : {0, 1, 4, 9}) {
    auto state = a->new_state(3, 0, DType::f64, kCpu);
    for (auto [from, to] : {std::pair<int64_t, int64_t>{0, cut}, {cut, 9}}) {
      std::vector<int64_t> valid;
      for (int64_t n : lengths) valid.push_back(std::clamp<int64_t>(n - from, 0, to - from));
      Tensor k = spoiled(part(in.k, from, to), {0, 0, 0}, valid, std::nan(""));
      a->absorb(k, part(in.v, from, to), masked(Mask::key_padding(valid)), *state);
    }
    REQUIRE(state->lengths() == lengths);
    auto copy = state->clone();
    for (int64_t i = 0; i < 6; i += 2) {
      Tensor out = a->step(part(in.q, i, i + 2), Tensor(), Tensor(), {}, *state);
      REQUIRE(difference(out, part(whole, i, i + 2)) < 1e-12);
    }
    copy->select({2, 2});
    Tensor q = concat({in.q.slice(0, 2, 3), in.q.slice(0, 2, 3)}, 0);
    Tensor out = a->step(q, Tensor(), Tensor(), {}, *copy);
    REQUIRE(difference(out[1], whole[2]) < 1e-12);
    auto loaded = a->new_state(1, 0, DType::f64, kCpu);
    loaded->load(state->save());
    REQUIRE(difference(a->step(in.q, Tensor(), Tensor(), {}, *loaded), whole) < 1e-12);
  }
  auto state = a->new_state(3, 0, DType::f64, kCpu);
  REQUIRE(state->bytes() == a->cost(s.shape(), nn::Pass::forward).state_bytes);
  REQUIRE_THROWS_SAYING(state->load({}), ValueError, "'k' is missing");
  REQUIRE_THROWS_SAYING(state->select({3}), ValueError, "row 3");
  for (int i = 0; i < 2; ++i) a->absorb(in.k, in.v, {}, *state);
  REQUIRE_THROWS_SAYING(a->absorb(in.k, in.v, {}, *state), ValueError, "27 keys is longer than");
}

TEST_CASE("linformer: cost", "[linformer]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 50, .keys = 60, .d = 16, .e = 8};
  auto a = variant("linformer:k=10", s, 64);
  nn::Cost forward = a->cost(s.shape(), nn::Pass::forward),
           backward = a->cost(s.shape(), nn::Pass::backward);
  int64_t along = 2 * 2 * 2 * 10 * 60 * 24, across = 2 * 2 * 4 * 50 * 10;
  REQUIRE(forward.flops == along + across * 24);
  REQUIRE(backward.flops == 2 * along + across * (3 * 16 + 2 * 8));
}
