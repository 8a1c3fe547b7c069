// What all decode states have in common, whatever the variant: the operands of a step, padding
// among the new tokens, and the state as a thing to save.
#include <heed/autograd/ops/views.h>
#include <heed/core/memory.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/kv_cache.h>
#include <heed/tests/nn/golden.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;
using nn::AttentionCall;
using nn::Mask;

namespace {

// Every way to decode. Linformer has no causal form.
const std::vector<std::string> kSpecs{
    "dense",     "additive", "luong:score=general",  "topk:k=3",  "block_sparse", "window:left=4",
    "performer", "linear",   "linear:map=cosformer", "efficient", "linformer:k=4"};
constexpr int64_t kRows = 2, kTokens = 3;

struct Decoder {
  explicit Decoder(const std::string& spec) {
    bool causal = spec.find("linformer") == std::string::npos;
    manual_seed(3);
    attention = nn::make_attention(spec, {.heads = 2,
                                          .kv_heads = 1,
                                          .head_dim = 4,
                                          .value_dim = 3,
                                          .max_length = 32,
                                          .causal = causal});
    k = numbers({kRows, 1, 5, 4}, 1), v = numbers({kRows, 1, 5, 3}, 2);
    q = numbers({kRows, 2, kTokens, 4}, 3);
    new_k = numbers({kRows, 1, kTokens, 4}, 4), new_v = numbers({kRows, 1, kTokens, 3}, 5);
    state = attention->new_state(kRows, 8, DType::f64, kCpu);
    attention->absorb(k, v, {}, *state);
  }
  static AttentionCall with(const Mask& mask) {
    AttentionCall call;
    call.mask = mask;
    return call;
  }
  // From the same past each time.
  Tensor step(const AttentionCall& call) const {
    auto own = state->clone();
    return attention->step(q, new_k, new_v, call, *own);
  }
  Tensor ask(const AttentionCall& call) const {
    auto own = state->clone();
    return attention->step(q.slice(2, 0, 1), Tensor(), Tensor(), call, *own);
  }

  std::unique_ptr<nn::Attention> attention;
  std::unique_ptr<nn::DecodeState> state;
  Tensor k, v, q, new_k, new_v;
};

}  // namespace

TEST_CASE("decode states: a bound before the first new token cuts nothing off", "[decode]") {
  std::string spec = GENERATE(from_range(kSpecs));
  INFO(spec);
  Decoder d(spec);
  Tensor plain = d.step({});
  if (d.attention->traits().left_padding)
    REQUIRE(difference(d.step(d.with(Mask::key_padding({-2, 0}, {kTokens, 9}))), plain) == 0);
  REQUIRE(difference(d.step(d.with(Mask::key_padding({kTokens, 9}))), plain) == 0);
}

TEST_CASE("decode states: key padding is about new keys, and without any it says nothing",
          "[decode]") {
  std::string spec = GENERATE(from_range(kSpecs));
  INFO(spec);
  Decoder d(spec);
  if (!d.attention->traits().left_padding) return;
  REQUIRE(difference(d.ask(d.with(Mask::key_padding({1, 0}, {1, 1}))), d.ask({})) == 0);
}

TEST_CASE("decode states: every variant refuses the same operands, by its own name", "[decode]") {
  std::string spec = GENERATE(from_range(kSpecs));
  INFO(spec);
  Decoder d(spec);
  nn::Attention& a = *d.attention;
  nn::DecodeState& s = *d.state;
  std::string name = a.name();
  AttentionCall drop;
  drop.dropout = 0.5f;
  REQUIRE_THROWS_SAYING(d.step(drop), ValueError, name + ": dropout has no meaning while decoding");
  REQUIRE_THROWS_SAYING(d.ask(drop), ValueError, name + ": dropout has no meaning while decoding");
  AttentionCall moved = d.with(Mask::offset({0, 0}));
  REQUIRE_THROWS_SAYING(d.step(moved), ValueError, name + ": step sets the offset itself");
  REQUIRE_THROWS_SAYING(d.ask(moved), ValueError, name + ": step sets the offset itself");
  REQUIRE_THROWS_SAYING(a.step(d.q, d.new_k, Tensor(), {}, s), ValueError,
                        name + ": step takes k and v, or neither");
  REQUIRE_THROWS_SAYING(a.step(d.q, d.new_k.slice(2, 0, 2), d.new_v.slice(2, 0, 2), {}, s),
                        ShapeError, name + ": step takes one key a query");
  REQUIRE_THROWS_SAYING(a.step(d.q.slice(1, 0, 1), d.new_k, d.new_v, {}, s), ShapeError,
                        name + ": q [B, 2, T, 4] expected");
  REQUIRE_THROWS_SAYING(a.step(d.q, d.new_v, d.new_v, {}, s), ShapeError,
                        name + ": k [2, 1, S, 4] expected");
  REQUIRE_THROWS_SAYING(a.absorb(d.k, d.k, {}, s), ShapeError, name + ": v [2, 1, 5, 3] expected");
  REQUIRE_THROWS_SAYING(a.step(d.q.slice(0, 0, 1), Tensor(), Tensor(), {}, s), ShapeError,
                        name + ": 2 rows expected");
  REQUIRE_THROWS_SAYING(a.step(d.q.to(DType::f32), Tensor(), Tensor(), {}, s), DTypeError,
                        name + ": the state holds f64");
  REQUIRE_THROWS_SAYING(a.absorb(d.k, d.v, d.with(Mask::key_padding({1, 2, 3})), s), ShapeError,
                        name + ": key padding for 3 rows, but the batch has 2");
  REQUIRE(s.lengths() == Lengths{5, 5});  // nothing of all this was taken in
}

TEST_CASE("decode states: a saved reserve is not trusted", "[decode]") {
  Decoder d("additive");
  nn::StateDict saved = d.state->save();
  saved["lengths"] = integers({5, 2});
  for (const char* name : {"k", "v"}) saved[name][1].slice(1, 2, 5).fill_(std::nan(""));
  d.state->load(saved);
  REQUIRE(d.state->lengths() == Lengths{5, 2});
  REQUIRE(all_finite(d.step({})));
  saved["lengths"] = integers({5, 6});
  REQUIRE_THROWS_SAYING(d.state->load(saved), ValueError, "lengths up to 6 of 5");
  saved["lengths"] = integers({5, -1});
  REQUIRE_THROWS_SAYING(d.state->load(saved), ValueError, "negative");
  saved.erase("lengths");
  REQUIRE_THROWS_SAYING(d.state->load(saved), ValueError, "'lengths' is missing");
}

TEST_CASE("decode states: an empty saved cache grows again", "[decode]") {
  Decoder d("dense");
  auto empty = d.attention->new_state(kRows, 8, DType::f64, kCpu), loaded = empty->clone();
  loaded->load(empty->save());
  d.attention->absorb(d.k, d.v, {}, *loaded);
  REQUIRE(loaded->lengths() == Lengths{5, 5});
  REQUIRE(difference(dynamic_cast<nn::KVCache&>(*loaded).keys(), d.k) == 0);
}

TEST_CASE("decode states: RoPE counts the tokens of the sequence, those that a ring forgot too",
          "[decode]") {
  nn::MultiHeadAttention a(
      8, {.heads = 2, .causal = true, .variant = "window:left=4", .rope = nn::RopeOptions{}});
  a.to(DType::f64);
  constexpr int64_t n = 150;
  Tensor x = numbers({1, n, 8}, 1), whole = a.forward(x);
  auto state = a.new_state(1, n);
  for (int64_t t = 0; t < n; ++t)
    REQUIRE(difference(a.step(x.slice(1, t, t + 1), {}, *state), whole.slice(1, t, t + 1)) < 1e-9);
  REQUIRE(state->held()[0] < 60);
  REQUIRE(state->lengths() == Lengths{n});
}

namespace {

// Runs `change` with ever more memory until it has enough; what fails before must change nothing.
// Returns how often it failed.
template <class Change>
int fail_until_enough(nn::DecodeState& state, Device device, Change&& change) {
  nn::StateDict before = state.save();
  for (auto& [name, tensor] : before) tensor = tensor.detach().clone();
  int failures = 0;
  for (int64_t spare = 0;; spare += std::max<int64_t>(64, spare / 16)) {
    release_cached_memory(device);
    set_memory_limit(memory_stats(device).reserved_bytes + spare + 1, device);
    bool failed = false;
    try {
      change();
    } catch (const OutOfMemoryError&) {
      failed = true;
    }
    set_memory_limit(0, device);
    if (!failed) return failures;
    ++failures;
    nn::StateDict after = state.save();
    REQUIRE(after.size() == before.size());
    for (const auto& [name, tensor] : before) {
      INFO(name << " after " << failures << " failures");
      REQUIRE(after.at(name).shape() == tensor.shape());
      REQUIRE(after.at(name).to_vector() == tensor.to_vector());
    }
  }
}

}  // namespace

TEST_CASE("decode states: a step without enough memory leaves the state as it was", "[decode]") {
  std::string spec = GENERATE(from_range(kSpecs));
  INFO(spec);
  Decoder d(spec);
  Tensor expected = d.step({}), out;
  REQUIRE(fail_until_enough(*d.state, kCpu, [&] {
            out = d.attention->step(d.q, d.new_k, d.new_v, {}, *d.state);
          }) > 0);
  REQUIRE(difference(out, expected) == 0);
  REQUIRE(d.state->lengths() == Lengths{8, 8});
  Tensor k = concat({d.k, d.k}, 2), v = concat({d.v, d.v}, 2);  // a cache has to grow
  REQUIRE(fail_until_enough(*d.state, kCpu, [&] { d.attention->absorb(k, v, {}, *d.state); }) > 0);
  REQUIRE(d.state->lengths() == Lengths{18, 18});
  REQUIRE(fail_until_enough(*d.state, kCpu, [&] { d.state->select({1, 0, 1}); }) > 0);
  REQUIRE(d.state->lengths() == Lengths{18, 18, 18});
  int moves = fail_until_enough(*d.state, test_device(), [&] { d.state->to(test_device()); });
  REQUIRE(moves > 0);
  REQUIRE(d.state->device() == test_device());
}

TEST_CASE("decode states: a long step of a ring is taken whole or not at all", "[decode]") {
  Decoder d("window:left=4");
  Tensor q = numbers({kRows, 2, 150, 4}, 6), k = numbers({kRows, 1, 150, 4}, 7),
         v = numbers({kRows, 1, 150, 3}, 8), out;
  auto own = d.state->clone();
  Tensor expected = d.attention->step(q, k, v, {}, *own);
  REQUIRE(fail_until_enough(*d.state, kCpu,
                            [&] { out = d.attention->step(q, k, v, {}, *d.state); }) > 0);
  REQUIRE(difference(out, expected) == 0);
  REQUIRE(d.state->lengths() == Lengths{155, 155});
  REQUIRE(d.state->held()[0] < 100);
  // A later part that is refused: the ring has dropped keys by then.
  Decoder g("window:left=4,globals=1");
  REQUIRE_THROWS_SAYING(
      g.attention->step(q, k, v, g.with(Mask::alibi(Tensor::from({0.5, 0.25}, {2}))), *g.state),
      ValueError, "global tokens");
  REQUIRE(g.state->lengths() == Lengths{5, 5});
  REQUIRE(g.state->held() == Lengths{5, 5});
}
