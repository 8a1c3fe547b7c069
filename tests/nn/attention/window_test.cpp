#include <heed/nn/attention/window.h>
#include <heed/nn/position_bias.h>
#include <heed/tests/nn/attention/sparse_checks.h>

using namespace heed;
using namespace heed::test;
using nn::make_attention;

namespace {

std::unique_ptr<Attention> window(const std::string& options, bool causal = false,
                                  int64_t heads = 2, int64_t kv = 1) {
  return make_attention("window:" + options, variant_config(heads, kv, 3, 5, causal));
}

// Dense attention under the pattern as a pair mask.
std::vector<Tensor> by_pairs(const Attention& a, const AttentionCall& call, const Operands& x) {
  nn::DenseAttention dense(
      variant_config(a.config().heads, a.config().kv_heads, 3, 5, a.config().causal));
  const auto& pattern = dynamic_cast<const nn::PatternAttention&>(a);
  AttentionCall with = call;
  with.mask =
      call.mask & Mask::pairs(nn::pattern_pairs(pattern, {0}, x.q.dim(2), x.k.dim(2), kCpu));
  return with_gradients([&](const Tensor& q, const Tensor& k,
                            const Tensor& v) { return dense.reference(q, k, v, with); },
                        x);
}

std::vector<Tensor> by_variant(const Attention& a, const AttentionCall& call, const Operands& x) {
  return with_gradients(
      [&](const Tensor& q, const Tensor& k, const Tensor& v) { return a.forward(q, k, v, call); },
      x);
}

const std::vector<std::string> kSettings{"left=3,right=2",
                                         "left=0,right=0",
                                         "left=5,right=0,dilation=3",
                                         "left=2,right=1,globals=2",
                                         "left=1,right=2,dilation=2,globals=1",
                                         "left=70,right=9",
                                         "left=2,right=2,dilation=100"};

}  // namespace

TEST_CASE("window: equals dense attention under the pattern, gradients too", "[window]") {
  for (const std::string& setting : kSettings)
    for (bool causal : {false, true})
      for (int64_t t : {1, 2, 7, 65, 130}) {
        INFO(setting << (causal ? " causal, " : ", ") << t << " tokens");
        auto a = window(setting, causal);
        Operands x = operands_for(*a, 2, t);
        require_same(by_variant(*a, {}, x), by_pairs(*a, {}, x), 1e-12);
        AttentionCall call = masked(Mask::padding({t, t / 2}) & Mask::alibi(nn::alibi_slopes(2)));
        require_same(by_variant(*a, call, x), by_pairs(*a, call, x), 1e-12);
        call.dropout = 0.3f;
        call.random = {5, 8};
        require_same(by_variant(*a, call, x), by_pairs(*a, call, x), 1e-12);
        AttentionCall padded = masked(Mask::padding({t, t / 2}));
        require_same(by_variant(*a, padded, x), by_pairs(*a, padded, x), 1e-12);
      }
}

TEST_CASE("window: closed forms", "[window]") {
  auto self = window("left=0,right=0", false, 1, 1);
  Operands x = operands_for(*self, 1, 9);
  REQUIRE(difference(self->forward(x.q, x.k, x.v, {}), x.v) < 1e-14);
  auto wide = window("left=9,right=9");
  Operands y = operands_for(*wide, 2, 9);
  nn::DenseAttention dense(variant_config(2, 1, 3, 5));
  REQUIRE(difference(wide->forward(y.q, y.k, y.v, {}), dense.forward(y.q, y.k, y.v, {})) < 1e-13);
  auto limit = wide->exact_limit({.queries = 30, .keys = 30});
  REQUIRE(limit->options.to_string() == "left=30,right=30");
  REQUIRE(difference(limit->reference(y.q, y.k, y.v, {}), dense.forward(y.q, y.k, y.v, {})) <
          1e-12);
}

TEST_CASE("window: padding, edges, weights, causality", "[window]") {
  for (const std::string& setting : kSettings)
    for (bool causal : {false, true}) {
      INFO(setting << causal);
      auto a = window(setting, causal);
      bool left = a->traits().left_padding;
      check_padding(*a, {}, {0, left ? 2 : 0}, {7, 12}, 12);
      check_edges(*a, {});
      check_weights(*a, {}, 11);
      check_weights(*a, masked(Mask::padding({11, 6}) & Mask::window(4, 1)), 11);
      AttentionCall drop;
      drop.dropout = 0.4f;
      drop.random = {3, 1};
      check_weights(*a, drop, 11);
      if (causal) check_causality(*a, {}, 20);
    }
}

TEST_CASE("window: decoding from the ring equals forward", "[window]") {
  for (const std::string& setting : kSettings) {
    INFO(setting);
    auto a = window(setting, true);
    check_decoding(*a, {}, 9, {1, 4, 8});
    check_decoding(*a, {}, 150, {1, 100});
    check_unequal_prompts(*a, {}, 12, 4);
    if (setting.find("globals") == std::string::npos)
      check_decoding(*a, masked(Mask::alibi(nn::alibi_slopes(2))), 150, {30});
  }
}

TEST_CASE("window: the ring stays small, and says what it no longer has", "[window]") {
  auto a = window("left=4,globals=1", true);
  auto state = a->new_state(1, 1000, DType::f64, kCpu);
  Operands x = operands_for(*a, 1, 40);
  int64_t most = 0;
  for (int n = 0; n < 10; ++n) {
    a->step(x.q, x.k, x.v, {}, *state);
    most = std::max(most, state->bytes());
  }
  REQUIRE(state->lengths() == Lengths{400});
  REQUIRE(most <= 256 * 8 * 8);
  Tensor last = x.q.slice(2, 39, 40);
  REQUIRE(a->step(last, Tensor(), Tensor(), {}, *state).shape() == Shape{1, 2, 1, 5});
  REQUIRE_THROWS_SAYING(a->step(concat({x.q, x.q}, 2), Tensor(), Tensor(), {}, *state), ValueError,
                        "window: 80 queries");
  REQUIRE_THROWS_SAYING(a->step(last, x.k.slice(2, 0, 1), x.v.slice(2, 0, 1),
                                masked(Mask::alibi(nn::alibi_slopes(2))), *state),
                        ValueError, "global tokens");
  REQUIRE(state->lengths() == Lengths{400});  // the refused key was not taken in
  REQUIRE_THROWS_SAYING(state->load({}), ValueError, "'dropped' is missing");
}

TEST_CASE("window: reach, cost and traits", "[window]") {
  auto a = window("left=2,right=1,globals=1"), c = window("left=4,dilation=2", true);
  Operands x = operands_for(*a, 1, 10);
  REQUIRE(a->reach(x.q, x.k, {}, 6) == std::vector<int64_t>{0, 4, 5, 6, 7});
  REQUIRE(a->reach(x.q, x.k, {}, 0).size() == 10);
  REQUIRE(c->reach(x.q, x.k, {}, 5) == std::vector<int64_t>{1, 3, 5});
  nn::AttentionShape shape{.batch = 2,
                           .heads = 2,
                           .kv_heads = 1,
                           .queries = 10,
                           .keys = 10,
                           .head_dim = 3,
                           .value_dim = 5};
  auto plain = window("left=2,right=0");
  REQUIRE(plain->cost(shape, nn::Pass::forward).flops == 2 * 2 * 2 * (1 + 2 + 8 * 3) * 8);
  // The global row sees 10 keys; rows 1 to 9 key 0 and up to 4 in the window, cut at both ends.
  REQUIRE(a->cost(shape, nn::Pass::forward).flops == 2 * 2 * 2 * (10 + 3 + 4 + 6 * 5 + 4) * 8);
  REQUIRE(a->traits().left_padding == false);
  REQUIRE(plain->traits().left_padding == true);
  REQUIRE_THROWS_SAYING(
      a->forward(x.q, x.k, x.v, masked(Mask::padding({1}, {9}))), ValueError,
      "begins at token 1, where 0 is expected) is not supported: the global tokens");
}

TEST_CASE("window: bad options", "[window]") {
  REQUIRE_THROWS_SAYING(window("left=-1"), ValueError, "window: option 'left' is '-1'");
  REQUIRE_THROWS_SAYING(window("dilation=0"), ValueError, "an integer from 1");
  REQUIRE_THROWS_SAYING(window("width=3"), ValueError, "unknown option 'width=3'");
  REQUIRE_THROWS_SAYING(window("left=x"), ValueError, "'x'");
  auto a = window("left=2,right=2");
  Operands x = operands_for(*a, 1, 4);
  REQUIRE_THROWS_SAYING(a->forward(x.q, x.k.slice(2, 0, 3), x.v.slice(2, 0, 3), {}), ValueError,
                        "window: cross-attention (4 queries, 3 keys) is not supported");
}
