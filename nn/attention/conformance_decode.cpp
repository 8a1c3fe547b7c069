// Decoding: absorb and step, in pieces of any size, give what forward gives on the whole sequence.
#include <algorithm>
#include <limits>

#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

Triple part_of(const Triple& in, int64_t begin, int64_t end) {
  Triple t{row_range(in.q, begin, end), row_range(in.k, begin, end), row_range(in.v, begin, end)};
  if (in.k.impl() == in.q.impl()) t.k = t.q;
  return t;
}

Triple joined(const Triple& a, const Triple& b) {
  Triple t{concat({a.q, b.q}, 2), concat({a.k, b.k}, 2), concat({a.v, b.v}, 2)};
  if (a.k.impl() == a.q.impl()) t.k = t.q;
  return t;
}

Triple only_item(const Triple& in, int64_t item, int64_t batch) {
  Triple t{repeat_item(in.q, item, batch), repeat_item(in.k, item, batch),
           repeat_item(in.v, item, batch)};
  if (in.k.impl() == in.q.impl()) t.k = t.q;
  return t;
}

Tensor step_with(const Attention& a, const Triple& in, const AttentionCall& call,
                 DecodeState& state) {
  return a.step(in.q, in.k, in.v, call, state);
}

void decode_in_splits(Case& c, const Attention& a, const Mask& mask, const std::string& name) {
  constexpr int64_t n = 9;
  Triple in = c.inputs(a.config(), 2, n, n);
  AttentionCall call = c.call(mask);
  Tensor whole = a.forward(in.q, in.k, in.v, call);  // [B, H, N, E]
  for (bool absorbed : {false, true})
    for (int64_t first = 1; first < n + 1; ++first)
      for (int64_t size : {1, 2, 3}) {
        auto state = a.new_state(2, size, c.dtype, kCpu);
        std::vector<Tensor> rows;
        Triple head = part_of(in, 0, first);
        if (absorbed) a.absorb(head.k, head.v, call, *state);
        else rows.push_back(step_with(a, head, call, *state));
        for (int64_t at = first; at < n; at += size)
          rows.push_back(step_with(a, part_of(in, at, std::min(n, at + size)), call, *state));
        if (rows.empty()) continue;
        c.close(concat(rows, 2), row_range(whole, absorbed ? first : 0, n), c.tolerance(n),
                str(name, absorbed ? "absorb " : "step ", first, ", then steps of ", size));
      }
}

// Long enough for a state to drop keys, wrap or grow: a prompt, long steps, steps of one token.
void long_decode(Case& c, const Attention& a) {
  constexpr int64_t n = 150, prompt = 40, chunk = 30, chunks_end = 100;
  Triple in = c.inputs(a.config(), 2, n, n);
  Tensor whole = a.forward(in.q, in.k, in.v, c.call());  // [B, H, N, E]
  auto state = a.new_state(2, prompt, c.dtype, kCpu);
  Triple head = part_of(in, 0, prompt);
  a.absorb(head.k, head.v, c.call(), *state);
  std::vector<Tensor> rows;
  for (int64_t at = prompt; at < n; at += at < chunks_end ? chunk : 1)
    rows.push_back(
        step_with(a, part_of(in, at, at < chunks_end ? at + chunk : at + 1), c.call(), *state));
  c.close(concat(rows, 2), row_range(whole, prompt, n), c.tolerance(n),
          str("a prompt of ", prompt, ", steps of ", chunk, " to ", chunks_end, ", steps of 1"));
}

using Bounds = std::vector<int64_t>;

// Prompts of unequal length, then new positions of which some are padding, then one more token.
void unequal_prompts(Case& c, const Attention& a, const Bounds& begin, const Bounds& end) {
  constexpr int64_t batch = 3, prompt = 6, chunk = 3;
  const Bounds none{0, 0, 0}, fresh{3, 2, 1};
  double nan = std::numeric_limits<double>::quiet_NaN();
  Triple all = c.inputs(a.config(), batch, prompt + chunk + 1, prompt + chunk + 1);
  Triple head = part_of(all, 0, prompt), middle = part_of(all, prompt, prompt + chunk),
         last = part_of(all, prompt + chunk, prompt + chunk + 1);
  auto spoilt = [&](const Triple& t, const Bounds& from, const Bounds& to) {
    Triple s{with_padding(t.q, from, to, nan), with_padding(t.k, from, to, nan),
             with_padding(t.v, from, to, nan)};
    if (t.k.impl() == t.q.impl()) s.k = s.q;
    return s;
  };
  auto state = a.new_state(batch, prompt, c.dtype, kCpu);
  Triple dirty = spoilt(head, begin, end);
  a.absorb(dirty.k, dirty.v, c.call(Mask::key_padding(begin, end)), *state);
  Tensor second = step_with(a, spoilt(middle, none, fresh), c.call(Mask::padding(fresh)), *state);
  Tensor third = step_with(a, last, c.call(), *state);
  Lengths lengths = state->lengths();
  for (int64_t b = 0; b < batch; ++b) {
    auto i = static_cast<size_t>(b);
    int64_t n = end[i] - begin[i], m = fresh[i];
    std::string where = str("a prompt of ", n, " tokens beside longer ones");
    Triple mine = joined(joined(part_of(head, begin[i], end[i]), part_of(middle, 0, m)), last);
    mine = only_item(mine, b, batch);
    Tensor whole = a.forward(mine.q, mine.k, mine.v, c.call()).slice(0, b, b + 1);
    Tensor mid = second.slice(0, b, b + 1), end_row = third.slice(0, b, b + 1);
    c.close(row_range(mid, 0, m), row_range(whole, n, n + m), c.tolerance(10), where);
    c.zero(row_range(mid, m, chunk), where + ": padded new positions");
    c.close(end_row, row_range(whole, n + m, n + m + 1), c.tolerance(10), where + ", next token");
    c.require(lengths[b] == n + m + 1, where + ": length of the state");
  }
}

// An encoder's memory, absorbed in one or two pieces, then queries without keys.
void encoder_memory(Case& c, const Attention& a) {
  constexpr int64_t batch = 3, keys = 7, queries = 2;
  const Bounds begin{0, 0, 0}, lengths{7, 4, 2};
  Triple in = c.inputs(a.config(), batch, queries, keys);
  bool padded = c.traits.key_padding;
  double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor k = padded ? with_padding(in.k, begin, lengths, nan) : in.k;
  Tensor v = padded ? with_padding(in.v, begin, lengths, nan) : in.v;
  for (int64_t cut : {keys, int64_t{3}}) {
    auto state = a.new_state(batch, keys, c.dtype, kCpu);
    for (int64_t at = 0; at < keys; at += cut) {
      int64_t to = std::min(keys, at + cut);
      Bounds valid;
      for (int64_t n : lengths) valid.push_back(std::clamp<int64_t>(n - at, 0, to - at));
      a.absorb(row_range(k, at, to), row_range(v, at, to),
               c.call(padded ? Mask::key_padding(valid) : Mask()), *state);
    }
    for (int again = 0; again < 2; ++again) {
      Tensor out = a.step(in.q, Tensor(), Tensor(), c.call(), *state);
      for (int64_t b = 0; b < batch; ++b) {
        int64_t n = padded ? lengths[static_cast<size_t>(b)] : keys;
        Triple mine = only_item({in.q, row_range(in.k, 0, n), row_range(in.v, 0, n)}, b, batch);
        Tensor expected = a.forward(mine.q, mine.k, mine.v, c.call());
        c.close(out.slice(0, b, b + 1), expected.slice(0, b, b + 1), c.tolerance(keys),
                str("queries alone against a memory of ", n, " keys, absorbed by ", cut));
      }
    }
  }
}

// A variant whose non-causal form sees later keys may still decode in its causal form.
void require_decode(const Case& c) {
  if (c.has_form(true) && c.make(c.config(true, 16))->traits().decode != DecodeKind::none) return;
  c.require_trait(c.traits.decode != DecodeKind::none, "decode");
}

}  // namespace

void check_decode(Case& c) {
  require_decode(c);
  if (c.has_form(true)) {
    auto a = c.make(c.config(true, 16));
    decode_in_splits(c, *a, {}, "");
    long_decode(c, *c.make(c.config(true, 160)));
    if (c.traits.pair_mask) decode_in_splits(c, *a, Mask::window(3, 0), "window 3: ");
    if (c.traits.bias)
      decode_in_splits(c, *a, Mask::relative(c.normal({2, 8}, 43), false, 16), "relative bias: ");
    if (c.traits.key_padding) {
      unequal_prompts(c, *a, {0, 0, 0}, {6, 3, 1});
      unequal_prompts(c, *a, {0, 0, 0}, {6, 0, 0});
      if (c.traits.left_padding) unequal_prompts(c, *a, {0, 3, 2}, {6, 6, 4});
    }
  }
  if (!c.has_form(false) || !c.traits.cross || c.traits.shared_qk) return;
  auto a = c.make(c.config(false, 16));
  if (!c.refuses([&] { a->new_state(1, 1, c.dtype, kCpu); })) encoder_memory(c, *a);
}

// The state as an object: lengths, clone, select, save and load, size.
void check_decode_state(Case& c) {
  require_decode(c);
  if (!c.has_form(true)) c.not_applicable("there is no causal form");
  constexpr int64_t batch = 3, prompt = 5;
  auto a = c.make(c.config(true, 64));
  Triple in = c.inputs(a->config(), batch, prompt + 2, prompt + 2);
  Triple head = part_of(in, 0, prompt), next = part_of(in, prompt, prompt + 1),
         last = part_of(in, prompt + 1, prompt + 2);
  auto filled = [&] {
    auto state = a->new_state(batch, 2, c.dtype, kCpu);
    Mask mask = c.traits.key_padding ? Mask::key_padding({5, 2, 3}) : Mask();
    a->absorb(head.k, head.v, c.call(mask), *state);
    return state;
  };
  auto state = filled();
  c.require(state->batch() == batch, "batch()");
  Lengths lengths = state->lengths();
  c.require(lengths == (c.traits.key_padding ? Lengths{5, 2, 3} : Lengths{5, 5, 5}), "lengths()");
  c.require(state->bytes() > 0, "bytes()");

  auto copy = state->clone();
  Tensor first = step_with(*a, next, c.call(), *state);
  step_with(*a, last, c.call(), *state);
  c.same(step_with(*a, next, c.call(), *copy), first, "a clone changes with its original");
  auto again = filled();
  auto loaded = a->new_state(batch, 0, c.dtype, kCpu);
  loaded->load(again->save());
  c.require(loaded->lengths() == lengths, "lengths() of a loaded state");
  c.same(step_with(*a, next, c.call(), *loaded), first, "a loaded state");

  const Bounds beams{2, 0, 0, 1};
  auto picked = [&](const Tensor& x) { return index_select(x, 0, beams); };
  Triple wide{picked(next.q), picked(next.k), picked(next.v)};
  if (c.traits.shared_qk) wide.k = wide.q;
  again->select(beams);
  c.require(again->batch() == 4, "batch() after select");
  c.close(step_with(*a, wide, c.call(), *again), picked(first), c.tolerance(prompt),
          "rows after select with repeats");

  auto throws = [](const std::function<void()>& f) {
    try {
      f();
    } catch (const Error&) {
      return true;
    }
    return false;
  };
  c.require(throws([&] { again->select({4}); }), "select of a row that is not there");
  c.require(throws([&] { loaded->load({}); }), "loading an empty state");
  if (a->traits().decode != DecodeKind::fixed) return;
  auto small = a->new_state(batch, 64, c.dtype, kCpu);
  step_with(*a, part_of(in, 0, 2), c.call(), *small);
  int64_t bytes = small->bytes();
  Triple more = c.inputs(a->config(), batch, 60, 60);
  step_with(*a, more, c.call(), *small);
  c.require(small->bytes() == bytes,
            str("decode fixed: ", bytes, " bytes after 2 tokens, ", small->bytes(), " after 62"));
}

}  // namespace heed::nn::conformance
