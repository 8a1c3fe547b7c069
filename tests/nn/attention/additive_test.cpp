#include <heed/autograd/ops/broadcast.h>
#include <heed/nn/attention/additive.h>
#include <heed/nn/attention/luong.h>
#include <heed/tests/nn/attention/low_rank_checks.h>

using namespace heed;
using namespace heed::test;
using nn::AdditiveAttention;
using nn::LuongAttention;
using nn::Mask;

namespace {

const char* const kSpecs[] = {"additive", "additive:width=5", "luong", "luong:score=general",
                              "luong:score=concat,width=3"};

Mask every_term(int64_t n) {
  return Mask::padding({n, n - 2}) & Mask::added(numbers({n, n}, 4)) & Mask::window(4, 2) &
         Mask::alibi(nn::alibi_slopes(4)) & Mask::pairs(less(numbers({1, 4, n, n}, 6), 1.0));
}

}  // namespace

TEST_CASE("additive: equals the formula, number by number", "[additive]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 5, .keys = 6};
  auto a = variant("additive:width=3", s);
  auto& p = dynamic_cast<AdditiveAttention&>(*a);
  Qkv in = inputs(s);
  Tensor out = a->forward(in.q, in.k, in.v, {});
  for (auto [b, h, i] : std::vector<std::array<int64_t, 3>>{{0, 0, 0}, {1, 3, 4}, {1, 2, 1}}) {
    std::vector<double> w;
    double total = 0;
    for (int64_t j = 0; j < 6; ++j) {
      Tensor x = matmul(p.W, in.q[b][h][i]) + matmul(p.U, in.k[b][h / 2][j]);
      w.push_back(std::exp(sum(p.v[h] * tanh(x)).item()));
      total += w.back();
    }
    Tensor mixed = zeros({3}, DType::f64);
    for (int64_t j = 0; j < 6; ++j)
      mixed = mixed + in.v[b][h / 2][j] * (w[static_cast<size_t>(j)] / total);
    REQUIRE(difference(out[b][h][i], mixed) < 1e-13);
  }
}

TEST_CASE("additive: v = 0 gives the mean of the visible values", "[additive]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  for (DType dtype : {DType::f64, DType::f32}) {
    check_exact_limit("additive", s, {}, dtype);
    check_exact_limit("additive", s, masked(Mask::padding({7, 3}) & Mask::window(2, 1)), dtype);
    check_exact_limit("additive", {.queries = 3, .keys = 10}, {}, dtype);
  }
  VariantSize one{.batch = 1, .queries = 3, .keys = 1};  // one source token: its state
  Qkv in = inputs(one);
  Tensor out = variant("additive", one)->forward(in.q, in.k, in.v, {});
  REQUIRE(difference(out, broadcast_to(in.v, out.shape())) < 1e-14);
}

TEST_CASE("luong: dot is dense with scale 1, general turns the query, concat is additive",
          "[luong]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  for (DType dtype : {DType::f64, DType::f32}) {
    check_exact_limit("luong", s, {}, dtype);
    check_exact_limit("luong", s, masked(Mask::padding({7, 3})), dtype);
  }
  Qkv in = inputs(s);
  auto general = variant("luong:score=general", s);
  Tensor w = dynamic_cast<LuongAttention&>(*general).weight;
  Tensor k = nn::repeat_heads(matmul(in.k, w.transpose(0, 1)), 4);  // W k
  Tensor map = softmax(matmul(in.q, k.transpose(2, 3)), -1);
  REQUIRE(difference(general->forward(in.q, in.k, in.v, {}),
                     matmul(map, nn::repeat_heads(in.v, 4))) < 1e-12);
  auto concat = variant("luong:score=concat,width=3", s), additive = variant("additive:width=3", s);
  additive->load_state_dict(concat->state_dict());
  REQUIRE(difference(concat->forward(in.q, in.k, in.v, {}),
                     additive->forward(in.q, in.k, in.v, {})) == 0);
}

TEST_CASE("additive and luong: padding, batch, gradients, weights, edges", "[additive][luong]") {
  VariantSize s{.heads = 4, .kv_heads = 2};
  std::string spec = GENERATE(from_range(std::begin(kSpecs), std::end(kSpecs)));
  CAPTURE(spec);
  auto a = variant(spec, s), causal = variant(spec, s, 0, DType::f64, true);
  for (const nn::Attention* x : {a.get(), causal.get()}) {
    check_padding(*x, s, {0, 0}, {7, 4});
    check_padding(*x, s, {2, 1}, {7, 6});
    check_batch_independence(*x, s);
    check_edges(*x, s);
    check_weights(*x, s);
    nn::AttentionCall call = masked(every_term(7));
    check_weights(*x, s, call);
    call.dropout = 0.3f;
    call.random = {5, 2};
    check_weights(*x, s, call);
  }
  VariantSize small{.queries = 3, .keys = 3, .d = 2, .e = 2};
  check_gradients(*variant(spec, small), small);
  check_gradients(*variant(spec, small, 0, DType::f64, true), small, masked(Mask::padding({3, 2})));
  VariantSize cross{.queries = 2, .keys = 4, .d = 2, .e = 2};
  check_gradients(*variant(spec, cross), cross, {}, false);
}

TEST_CASE("additive: blocks of rows give what one block gives", "[additive]") {
  // 2 x 2 heads x 150 x 150 x 64 numbers are more than a block holds.
  VariantSize s{.queries = 150, .keys = 150, .d = 4, .e = 3};
  Qkv in = inputs(s);
  auto a = variant("additive:width=64", s, 0, DType::f64, true);
  Mask mask = Mask::padding({150, 120}) & Mask::added(numbers({150, 150}, 3));
  Tensor whole = a->forward(in.q, in.k, in.v, masked(mask));
  std::vector<int64_t> rows{0, 1, 77, 149};
  Tensor map = a->weights(in.q, in.k, masked(mask), rows);
  REQUIRE(difference(matmul(map, in.v), index_select(whole, 2, rows)) < 1e-12);
}

TEST_CASE("additive and luong: decoding in any pieces equals the parallel form",
          "[additive][luong]") {
  std::string spec = GENERATE(from_range(std::begin(kSpecs), std::end(kSpecs)));
  Mask bias =
      GENERATE(values<Mask>({Mask(), Mask::window(2, 0), Mask::alibi(nn::alibi_slopes(4))}));
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 6, .keys = 6};
  auto a = variant(spec, s, 0, DType::f64, true);
  Qkv in = inputs(s);
  Tensor whole = a->forward(in.q, in.k, in.v, masked(bias));
  for (int64_t cut = 1; cut < 6; ++cut)
    for (int64_t size : {int64_t{1}, int64_t{2}, int64_t{6}}) {
      auto state = a->new_state(2, 1, DType::f64, kCpu);
      std::vector<Tensor> parts;
      for (int64_t at = 0; at < 6;) {
        int64_t end = at == 0 ? cut : std::min<int64_t>(6, at + size);
        auto piece = [&](const Tensor& x) { return x.slice(2, at, end); };
        parts.push_back(a->step(piece(in.q), piece(in.k), piece(in.v), masked(bias), *state));
        at = end;
      }
      REQUIRE(difference(concat(parts, 2), whole) < 1e-13);
    }
}

TEST_CASE("additive and luong: an absorbed memory with padding", "[additive][luong]") {
  std::string spec = GENERATE(from_range(std::begin(kSpecs), std::end(kSpecs)));
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 5, .keys = 8};
  auto a = variant(spec, s);
  Qkv in = inputs(s);
  nn::AttentionCall call = masked(Mask::key_padding({8, 3}));
  Tensor whole = a->forward(in.q, in.k, in.v, call);
  auto state = a->new_state(2, 0, DType::f64, kCpu);
  a->absorb(spoiled(in.k, {0, 0}, {8, 3}, std::nan("")), in.v, call, *state);
  for (int64_t i = 0; i < 5; ++i) {
    Tensor out = a->step(in.q.slice(2, i, i + 1), Tensor(), Tensor(), {}, *state);
    REQUIRE(difference(out, whole.slice(2, i, i + 1)) < 1e-12);
  }
  REQUIRE_THROWS_SAYING(a->absorb(in.v, in.k, {}, *state), ShapeError, "k [2, 2, S, 4]");
}

TEST_CASE("additive and luong: options name what is wrong", "[additive][luong]") {
  VariantSize s;
  REQUIRE_THROWS_SAYING(variant("additive:width=0", s), ValueError, "width");
  REQUIRE_THROWS_SAYING(variant("additive:score=dot", s), ValueError, "score");
  REQUIRE_THROWS_SAYING(variant("luong:score=add", s), ValueError, "dot, general, concat");
  REQUIRE_THROWS_SAYING(variant("luong:width=3", s), ValueError, "belongs to score=concat");
  Qkv in = inputs(s);
  REQUIRE_THROWS_SAYING(variant("luong", s)->weights(in.q, in.k, {}, {9}), ValueError,
                        "luong: weights of row 9");
}

TEST_CASE("additive and luong: cost", "[additive][luong]") {
  VariantSize s{.heads = 4, .kv_heads = 2, .queries = 50, .keys = 60, .d = 16, .e = 8};
  int64_t matrices = 2 * 16 * 10 * (8 * 50 + 4 * 60), map = 2 * 8 * 50 * 60 * 18;
  auto a = variant("additive:width=10", s);
  REQUIRE(a->cost(s.shape(), nn::Pass::forward).flops == matrices + map);
  REQUIRE(a->cost(s.shape(), nn::Pass::backward).flops == 2 * matrices + 3 * map);
  auto dot = variant("luong", s), general = variant("luong:score=general", s);
  int64_t turn = 2 * 8 * 50 * 16 * 16;
  REQUIRE(general->cost(s.shape(), nn::Pass::forward).flops ==
          dot->cost(s.shape(), nn::Pass::forward).flops + turn);
}
