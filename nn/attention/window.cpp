#include <heed/nn/attention/window.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/kv_step.h>

namespace heed::nn {

namespace {

constexpr int64_t kBlock = 64;
// Beyond any length, and small enough that sums and products do not overflow.
constexpr int64_t kFar = int64_t{1} << 30;

int64_t divide_up(int64_t a, int64_t b) { return a >= 0 ? (a + b - 1) / b : -(-a / b); }

}  // namespace

WindowAttention::WindowAttention(AttentionConfig config)
    : PatternAttention(std::move(config), kBlock, kBlock) {
  const Options& o = this->config().options;
  left_ = o.integer("left", 128, 0, kFar);
  right_ = o.integer("right", 128, 0, kFar);
  dilation_ = o.integer("dilation", 1, 1, kFar);
  globals_ = o.integer("globals", 0, 0, kFar);
}

bool WindowAttention::keep(int64_t i, int64_t j) const {
  int64_t r = j - i;
  if (i < globals_ || j < globals_) return true;
  return r >= -left_ * dilation_ && r <= right_ * dilation_ && r % dilation_ == 0;
}

Cover WindowAttention::cover(Span i, Span j) const {
  if (i.end <= globals_ || j.end <= globals_) return Cover::full;
  if (i.begin < globals_ || j.begin < globals_) return Cover::partial;
  // A block contains every difference j - i from lowest to highest.
  int64_t lowest = j.begin - (i.end - 1), highest = j.end - 1 - i.begin;
  if (highest < -left_ * dilation_ || lowest > right_ * dilation_) return Cover::empty;
  bool inside = lowest >= -left_ * dilation_ && highest <= right_ * dilation_;
  return inside && dilation_ == 1 ? Cover::full : Cover::partial;
}

// The intersection with the call's own window.
AttentionTerms WindowAttention::windowed(AttentionTerms terms) const {
  auto narrower = [](int64_t asked, int64_t own) { return asked < 0 ? own : std::min(asked, own); };
  terms.window_left = narrower(terms.window_left, left_);
  terms.window_right = narrower(terms.window_right, right_);
  return terms;
}

Tensor WindowAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionCall& call) const {
  if (plain()) {
    auto scope = enter();
    check_call(q, k, v, call);
    return fused_attention(q, k, v, windowed(call.mask.terms(config().causal)),
                           fused_options(call));  // [B, H, T, E]
  }
  const Mask& mask = call.mask;
  bool padding_alone =
      !mask.has_window() && !mask.has_pairs() && !mask.has_bias() && !mask.terms().offset.defined();
  if (globals_ == 0 && padding_alone && call.dropout == 0) return dilated(q, k, v, call);
  return PatternAttention::forward(q, k, v, call);
}

Tensor WindowAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const AttentionCall& call) const {
  if (!plain()) return PatternAttention::reference(q, k, v, call);
  check_call(q, k, v, call);
  return fused_attention_reference(q, k, v, windowed(call.mask.terms(config().causal)),
                                   fused_options(call));  // [B, H, T, E]
}

// Tokens of one residue class see only each other, so each class is a sequence of its own, with a
// window without gaps. Class r of row b becomes row b * dilation + r.
Tensor WindowAttention::dilated(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  int64_t batch = q.dim(0), n = q.dim(2), d = std::max<int64_t>(1, std::min(dilation_, n));
  int64_t each = divide_up(n, d);
  auto split = [&](const Tensor& x) {
    Tensor y = pad(x, 2, 0, each * d - n).reshape({batch, x.dim(1), each, d, x.dim(3)});
    return y.permute({0, 3, 1, 2, 4}).reshape({batch * d, x.dim(1), each, x.dim(3)});
  };
  auto bound = [&](const std::vector<int64_t>& given) {
    std::vector<int64_t> out;
    for (int64_t x : given)
      for (int64_t r = 0; r < d; ++r) out.push_back(divide_up(x - r, d));
    return Lengths(out);
  };
  Ranges keys = call.mask.key_ranges(batch, n), queries = call.mask.query_ranges(batch, n);
  AttentionTerms terms;
  terms.causal = config().causal;
  terms.key_begin = bound(keys.begin);
  terms.key_end = bound(keys.end);
  terms.query_begin = bound(queries.begin);
  terms.query_end = bound(queries.end);
  // If the sequence is shorter than the dilation, every token sees itself alone.
  Tensor out = fused_attention(split(q), split(k), split(v), windowed(terms),
                               fused_options(call));        // [B d, H, T / d, E]
  out = out.reshape({batch, d, q.dim(1), each, v.dim(3)});  // [B, d, H, T / d, E]
  out = out.permute({0, 2, 3, 1, 4}).reshape({batch, q.dim(1), each * d, v.dim(3)});
  return out.slice(2, 0, n);  // [B, H, T, E]
}

Traits WindowAttention::traits() const {
  Traits t = PatternAttention::traits();
  t.decode = DecodeKind::ring;
  t.left_padding = globals_ == 0;  // then only distances matter
  t.why["cross"] = "a window speaks of distances in one sequence";
  t.why["left_padding"] = "the global tokens are the first ones, padding on the left moves them";
  return t;
}

std::unique_ptr<DecodeState> WindowAttention::new_state(int64_t batch, int64_t capacity,
                                                        DType dtype, Device device) const {
  const AttentionConfig& c = config();
  // One more than the next query needs: the last token may query again, without a new key.
  int64_t reach = left_ * dilation_ + 1, most = globals_ + 2 * reach + 64;
  // Only in a causal layer is it certain that no later query sees an old key: see step.
  return std::make_unique<RingCache>(batch, c.kv_heads, c.head_dim, c.value_dim,
                                     c.causal ? std::min(capacity, most) : capacity, dtype, device,
                                     globals_, c.causal ? reach : -1);
}

void WindowAttention::absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                             DecodeState& state) const {
  PatternAttention::absorb(k, v, call, state);
  state_as<RingCache>(state).trim();
}

// bool [B, 1, T, S]: what query i of row b, at entry i + offset[b], sees of the ring's entries.
Tensor WindowAttention::ring_pairs(const RingCache& ring, const Lengths& offset, int64_t queries,
                                   int64_t held) const {
  Array pairs = Array::empty({ring.batch(), 1, queries, held}, DType::boolean, kCpu);
  bool* out = pairs.data<bool>();
  for (int64_t b = 0; b < ring.batch(); ++b) {
    int64_t dropped = ring.dropped()[b], first = offset[b] + dropped;
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t n = 0; n < held; ++n) {
        int64_t j = n < ring.pinned() ? n : n + dropped;
        *out++ = keep(first + i, j) && (!config().causal || j <= first + i);
      }
  }
  return Tensor(plan_on(pairs, ring.device()));
}

// A long step is taken in parts, so that the ring never holds much more than its window.
Tensor WindowAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  RingCache& ring = state_as<RingCache>(state);
  check_step(q, k, v, call, ring);
  if (call.mask.has_pairs() || call.mask.terms().bias.defined())
    throw ValueError("window: a step takes no pair mask and no bias tensor: old keys are gone");
  const int64_t most = std::clamp<int64_t>(left_ * dilation_, 64, 1024), fresh = q.dim(2);
  if (!k.defined() || fresh <= most) return step_part(q, k, v, call, 0, ring);
  std::vector<Tensor> parts;
  std::unique_ptr<DecodeState> own = ring.clone();  // if a later part fails, none was taken in
  RingCache& advanced = state_as<RingCache>(*own);
  for (int64_t at = 0; at < fresh; at += most) {
    auto piece = [&](const Tensor& x) { return x.slice(2, at, at + most); };
    parts.push_back(step_part(piece(q), piece(k), piece(v), call, at, advanced));
  }
  Tensor out = concat(parts, 2);  // [B, H, T, E]
  ring = std::move(advanced);
  return out;
}

// The new tokens [at, at + n) of a step.
Tensor WindowAttention::step_part(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const AttentionCall& call, int64_t at, RingCache& ring) const {
  int64_t batch = ring.batch(), fresh = q.dim(2);
  if (ring.dropped().max() > 0 && globals_ > 0 && (call.mask.has_bias() || call.mask.has_window()))
    throw ValueError("window: a step with global tokens takes no window, ALiBi or relative bias");
  KVStep s = begin_kv_step(ring, k, v, call.mask.tokens(at, fresh), config().causal, fresh);
  int64_t held = s.keys.dim(2);
  for (int64_t b = 0; b < batch; ++b) {
    // The whole window of query 0 of this row must still be held.
    int64_t oldest = s.offset[b] - left_ * dilation_;
    if (!k.defined() && ring.dropped()[b] > 0 && oldest < ring.pinned() && fresh > 0)
      throw ValueError(str("window: ", fresh, " queries without keys, but the ring of row ", b,
                           " holds the last ", held - ring.pinned(), " keys alone"));
  }
  if (plain()) {
    Tensor out = fused_attention(q, s.keys, s.values, windowed(s.terms), fused_options(call));
    ring.trim();
    return out;  // [B, H, T, E]
  }
  s.terms.pair_mask = ring_pairs(ring, s.offset, fresh, held);
  // The window of the terms counts entries, not keys. It is right for the recent keys, and every
  // pinned key is older than they are.
  Tensor mixed = fused_attention(q, s.keys, s.values, s.terms, fused_options(call));
  ring.trim();
  return mixed;  // [B, H, T, E]
}

std::optional<ExactLimit> WindowAttention::exact_limit(const AttentionShape& shape) const {
  std::string all = std::to_string(std::max<int64_t>(shape.queries, shape.keys));
  Options options("window");
  options.set("left", all);
  options.set("right", all);
  return dense_limit(options);
}

Cost WindowAttention::cost(const AttentionShape& s, Pass pass) const {
  if (!plain()) {
    Cost c = PatternAttention::cost(s, pass);
    if (globals_ == 0) {  // `dilated` saves q, k, v and the result of the classes too
      int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
      int64_t classes = std::max<int64_t>(1, std::min(dilation_, s.queries));
      int64_t tokens = divide_up(s.queries, classes) * classes;  // rounded up
      int64_t given = s.heads * s.queries * d + s.kv_heads * s.keys * (d + e);
      int64_t copies = tokens * (s.heads * (d + e + 1) + s.kv_heads * (d + e));
      c.activation_bytes = s.batch * (given + copies + s.heads * tokens * e) * size;
    }
    if (config().causal) {
      int64_t held = std::min(s.keys, globals_ + left_ * dilation_ + 1);
      c.state_bytes = s.batch * s.kv_heads * held * (s.head_dim + s.value_dim) *
                      static_cast<int64_t>(size_of(s.dtype));
    }
    return c;
  }
  int64_t pairs = 0;
  for (int64_t i = 0; i < s.queries; ++i)
    pairs += std::max<int64_t>(0, std::min(s.keys - 1, i + (config().causal ? 0 : right_)) -
                                      std::max<int64_t>(0, i - left_) + 1);
  Cost c = softmax_cost(pairs, s, pass);
  if (config().causal)
    c.state_bytes = s.batch * s.kv_heads * std::min(s.keys, left_ + 1) *
                    (s.head_dim + s.value_dim) * static_cast<int64_t>(size_of(s.dtype));
  return c;
}

}  // namespace heed::nn
