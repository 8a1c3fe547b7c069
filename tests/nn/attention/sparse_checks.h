// Checks that several attention variants share: against a reference, padding, decoding, batches.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/dense.h>
#include <heed/tests/nn/golden.h>

namespace heed::test {

using nn::Attention;
using nn::AttentionCall;
using nn::Mask;

inline nn::AttentionConfig variant_config(int64_t heads, int64_t kv_heads, int64_t d, int64_t e,
                                          bool causal = false) {
  return {.heads = heads, .kv_heads = kv_heads, .head_dim = d, .value_dim = e, .causal = causal};
}

inline AttentionCall masked(Mask mask) {
  AttentionCall call;
  call.mask = std::move(mask);
  return call;
}

struct Operands {
  Tensor q, k, v;
};

inline Operands operands_for(const Attention& a, int64_t batch, int64_t t, uint64_t seed = 1,
                             DType dtype = DType::f64) {
  const nn::AttentionConfig& c = a.config();
  Operands x;
  x.q = numbers({batch, c.heads, t, c.head_dim}, seed, dtype);
  x.k = a.traits().shared_qk ? x.q : numbers({batch, c.kv_heads, t, c.head_dim}, seed + 1, dtype);
  x.v = numbers({batch, c.kv_heads, t, c.value_dim}, seed + 2, dtype);
  return x;
}

using Form = std::function<Tensor(const Tensor&, const Tensor&, const Tensor&)>;

// Output and gradients of q, k, v for a fixed random cotangent.
inline std::vector<Tensor> with_gradients(const Form& form, const Operands& x) {
  std::vector<Tensor> in;
  for (const Tensor& t : {x.q, x.k, x.v}) in.push_back(t.detach().clone().set_requires_grad(true));
  Tensor out = form(in[0], in[1], in[2]);
  std::vector<Tensor> result = grad({out}, in, {numbers(out.shape(), 99, out.dtype())});
  result.push_back(out);
  return result;
}

inline void require_same(const std::vector<Tensor>& got, const std::vector<Tensor>& want,
                         double tolerance) {
  const char* names[] = {"dq", "dk", "dv", "output"};
  REQUIRE(got.size() == want.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO(names[i]);
    REQUIRE(difference(got[i], want[i]) < tolerance);
  }
}

// Padded tokens hold NaN, or large numbers: nothing changes. begin and end: valid tokens a row.
inline void check_padding(const Attention& a, const AttentionCall& base, std::vector<int64_t> begin,
                          std::vector<int64_t> end, int64_t t) {
  int64_t batch = static_cast<int64_t>(end.size());
  Operands x = operands_for(a, batch, t);
  AttentionCall call = base;
  call.mask = base.mask & Mask::padding(begin, end);
  auto run = [&](double garbage) {
    auto dirty = [&](const Tensor& y) {
      return with_garbage(y.permute({0, 2, 1, 3}), begin, end, garbage).permute({0, 2, 1, 3});
    };
    return with_gradients(
        [&](const Tensor& q, const Tensor& k, const Tensor& v) { return a.forward(q, k, v, call); },
        {dirty(x.q), dirty(x.k), dirty(x.v)});
  };
  std::vector<Tensor> clean = run(0), big = run(1e4),
                      dirty = run(std::numeric_limits<double>::quiet_NaN());
  for (size_t i = 0; i < clean.size(); ++i) {
    INFO("tensor " << i);
    REQUIRE(all_finite(dirty[i]));
    REQUIRE(difference(dirty[i], clean[i]) == 0);
    REQUIRE(difference(big[i], clean[i]) == 0);
  }
  for (int64_t b = 0; b < batch; ++b) {
    size_t n = static_cast<size_t>(b);
    for (const Tensor& y : {clean[0], clean[1], clean[2], clean[3]}) {
      REQUIRE(all_zero(y[b].slice(1, 0, begin[n])));
      REQUIRE(all_zero(y[b].slice(1, end[n], t)));
    }
    // The row alone, without padding.
    Operands alone{x.q.slice(0, b, b + 1).slice(2, begin[n], end[n]),
                   x.k.slice(0, b, b + 1).slice(2, begin[n], end[n]),
                   x.v.slice(0, b, b + 1).slice(2, begin[n], end[n])};
    Tensor want = a.forward(alone.q, alone.k, alone.v, base);
    REQUIRE(difference(clean[3].slice(0, b, b + 1).slice(2, begin[n], end[n]), want) < 1e-12);
  }
}

// Splits of every kind: the first piece of `cut` tokens, then pieces of `size`.
inline void check_decoding(const Attention& a, const AttentionCall& call, int64_t n,
                           const std::vector<int64_t>& cuts, double tolerance = 1e-12) {
  Operands x = operands_for(a, 2, n);
  Tensor whole = a.forward(x.q, x.k, x.v, call);
  for (int64_t cut : cuts)
    for (int64_t size : {int64_t{1}, int64_t{3}, n}) {
      auto state = a.new_state(2, 1, DType::f64, kCpu);
      std::vector<Tensor> parts;
      for (int64_t at = 0; at < n;) {
        int64_t end = at == 0 ? cut : std::min(n, at + size);
        auto piece = [&](const Tensor& y) { return y.slice(2, at, end); };
        parts.push_back(a.step(piece(x.q), piece(x.k), piece(x.v), call, *state));
        at = end;
      }
      INFO("first " << cut << ", then " << size);
      REQUIRE(difference(concat(parts, 2), whole) < tolerance);
    }
}

// Prompts of unequal length, padded on the right or left, then single tokens: as each row alone.
inline void check_unequal_prompts(const Attention& a, const AttentionCall& base, int64_t prompt,
                                  int64_t more, double tolerance = 1e-12) {
  int64_t n = prompt + more;
  Operands x = operands_for(a, 2, n);
  for (bool left : {false, true}) {
    int64_t gone = prompt / 3;
    std::vector<int64_t> begin{0, left ? gone : 0}, end{prompt, left ? prompt : prompt - gone};
    auto state = a.new_state(2, 1, DType::f64, kCpu);
    auto piece = [&](const Tensor& y, int64_t from, int64_t to) { return y.slice(2, from, to); };
    AttentionCall first = base;
    first.mask = base.mask & Mask::padding(begin, end);
    a.step(piece(x.q, 0, prompt), piece(x.k, 0, prompt), piece(x.v, 0, prompt), first, *state);
    std::vector<Tensor> parts;
    for (int64_t t = prompt; t < n; ++t)
      parts.push_back(
          a.step(piece(x.q, t, t + 1), piece(x.k, t, t + 1), piece(x.v, t, t + 1), base, *state));
    Tensor got = concat(parts, 2);
    for (int64_t b = 0; b < 2; ++b) {
      auto row = [&](const Tensor& y) {
        Tensor mine = y.slice(0, b, b + 1);
        return concat({piece(mine, begin[static_cast<size_t>(b)], end[static_cast<size_t>(b)]),
                       piece(mine, prompt, n)},
                      2);
      };
      Tensor want = a.forward(row(x.q), row(x.k), row(x.v), base);
      int64_t length = want.dim(2);
      REQUIRE(difference(got.slice(0, b, b + 1), piece(want, length - more, length)) < tolerance);
    }
    REQUIRE(state->lengths() == Lengths{n, n - gone});
    // The state survives saving, loading, selecting and cloning.
    auto copy = a.new_state(1, 0, DType::f64, kCpu);
    copy->load(state->save());
    auto twin = state->clone();
    twin->select({1, 0, 1});
    AttentionCall none = base;
    auto q = piece(x.q, 0, 1), k = piece(x.k, 0, 1), v = piece(x.v, 0, 1);
    auto chosen = [&](const Tensor& y) { return index_select(y, 0, {1, 0, 1}); };
    Tensor want = a.step(q, k, v, none, *state), loaded = a.step(q, k, v, none, *copy);
    Tensor beams = a.step(chosen(q), chosen(k), chosen(v), none, *twin);
    REQUIRE(difference(loaded, want) < tolerance);
    REQUIRE(difference(beams, chosen(want)) < tolerance);
  }
}

// Nothing to see, nothing there, rows of a batch that do not know of each other.
inline void check_edges(const Attention& a, const AttentionCall& call) {
  Operands x = operands_for(a, 2, 5);
  AttentionCall hidden = call;
  hidden.mask = call.mask & Mask::key_padding({0, 5});
  Tensor out = a.forward(x.q, x.k, x.v, hidden);
  REQUIRE(all_zero(out[0]));
  REQUIRE(all_finite(out[1]));
  if (a.traits().weights) {
    REQUIRE(all_zero(a.weights(x.q, x.k, hidden, {0, 4})[0]));
    REQUIRE(a.weights(x.q, x.k, call, {}).dim(2) == 0);
    REQUIRE_THROWS_SAYING(a.weights(x.q, x.k, call, {5}), ValueError, "5");
  }
  Operands none = operands_for(a, 2, 0);
  REQUIRE(a.forward(none.q, none.k, none.v, call).shape() ==
          Shape{2, a.config().heads, 0, a.config().value_dim});
  Operands one{x.q.slice(0, 1, 2), x.k.slice(0, 1, 2), x.v.slice(0, 1, 2)};
  if (!a.traits().stochastic)
    REQUIRE(difference(a.forward(one.q, one.k, one.v, call)[0], a.forward(x.q, x.k, x.v, call)[1]) <
            1e-13);
}

// weights() times the values is what forward gives; rows sum to 1.
inline void check_weights(const Attention& a, const AttentionCall& call, int64_t t) {
  Operands x = operands_for(a, 2, t);
  std::vector<int64_t> rows{t - 1, 0, t / 2, t / 2 + (t > 2), t / 2};
  Tensor map = a.weights(x.q, x.k, call, rows);
  int64_t heads = a.config().heads, kv = a.config().kv_heads, e = a.config().value_dim;
  Tensor wide = broadcast_to(x.v.unsqueeze(2), {2, kv, heads / kv, t, e}).reshape({2, heads, t, e});
  Tensor want = index_select(a.forward(x.q, x.k, x.v, call), 2, rows);
  REQUIRE(difference(matmul(map, wide), want) < 1e-12);
  if (call.dropout == 0 && call.mask.to_string() == "no mask") {
    Tensor sums = sum(map, {3});
    REQUIRE(difference(sums, ones(sums.shape(), DType::f64)) < 1e-12);
  }
}

// Later tokens change nothing before them, to the bit; where each token is `seen`, it changes
// something from its own place on.
inline void check_causality(const Attention& a, const AttentionCall& call, int64_t t,
                            bool seen = true) {
  Operands x = operands_for(a, 1, t);
  Tensor before = a.forward(x.q, x.k, x.v, call);
  for (int64_t at : {int64_t{0}, t / 2, t - 1}) {
    auto changed = [&](const Tensor& y, double by) {
      Tensor copy = y.clone();
      Tensor place = copy.slice(2, at, at + 1);
      place.copy_(place + by);
      return copy;
    };
    Tensor q = a.traits().shared_qk ? changed(x.q, 2.0) : x.q;
    Tensor after =
        a.forward(q, a.traits().shared_qk ? q : changed(x.k, 2.0), changed(x.v, 3.0), call);
    REQUIRE(difference(after.slice(2, 0, at), before.slice(2, 0, at)) == 0);
    if (seen) REQUIRE(difference(after.slice(2, at, t), before.slice(2, at, t)) > 1e-6);
  }
}

}  // namespace heed::test
