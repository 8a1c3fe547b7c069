#include <heed/nn/attention/efficient.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/plan.h>
#include <heed/nn/attention/prefix_softmax.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

namespace {

// 1 / n, n = number of visible keys: of each row as a whole [B, 1, 1, 1], or of each query that
// sees the keys up to its own [B, 1, T, 1]. 0 where there is none.
Tensor one_over_visible(const Mask& mask, const Lengths& held, int64_t batch, int64_t queries,
                        int64_t keys, bool causal, const Lengths& offset, const Tensor& like) {
  Ranges valid = mask.key_ranges(batch, keys);
  std::vector<double> out;
  for (int64_t b = 0; b < batch; ++b) {
    int64_t first = valid.begin[static_cast<size_t>(b)], last = valid.end[static_cast<size_t>(b)];
    int64_t before = held.defined() ? held[b] : 0;
    for (int64_t i = 0; i < (causal ? queries : 1); ++i) {
      int64_t seen = causal ? i + offset[offset.size() > 1 ? b : 0] + 1 : keys;
      int64_t n = before + std::clamp(seen, first, last) - first;
      out.push_back(n > 0 ? 1 / static_cast<double>(n) : 0);
    }
  }
  return Tensor(plan_on(Array::from(out, {batch, 1, causal ? queries : 1, 1}), like.device()))
      .to(like.dtype());
}

Tensor valid_keys(const Mask& mask, const Tensor& k) {  // bool [B, 1, S, 1], or undefined
  if (!mask.has_key_padding()) return {};
  const AttentionTerms& t = mask.terms();
  return valid_positions(t.key_begin, t.key_end, k.dim(2), k.device())
      .reshape({k.dim(0), 1, k.dim(2), 1});
}

}  // namespace

EfficientAttention::EfficientAttention(AttentionConfig c)
    : PrefixAttention(c),
      softmax_(c.options.choice("norm", "softmax", {"softmax", "scaling"}) == "softmax") {}

Tensor EfficientAttention::queries(const Tensor& q, const AttentionCall& call) const {
  Tensor x = call.mask.select_queries(q, 2);
  if (call.scale) x = x * scale_of(call);
  return softmax_ ? softmax(x, 3) : x;  // [B, H, T, D]
}

EfficientAttention::Keys EfficientAttention::prepare(const Tensor& k, const Tensor& v,
                                                     const Mask& mask) const {
  Keys keys{mask.select_keys(k, 2), mask.select_keys(v, 2)};
  if (!softmax_) return keys;
  Tensor valid = valid_keys(mask, k);
  Tensor one = v.new_ones({v.dim(0), v.dim(1), v.dim(2), 1});
  if (valid.defined()) {
    keys.k = where(valid, k, lowest(k.dtype()));
    one = where(valid, one, 0.0);
  }
  keys.values = concat({keys.values, one}, 3);
  return keys;
}

KeySums EfficientAttention::sum_keys(const Keys& keys) const {
  if (softmax_) return channel_sums(keys.k, keys.values);
  return {matmul(keys.k.transpose(2, 3), keys.values), {}};  // [B, Hkv, D, E]
}

// rho [B, H, T, D] and sums [B, Hkv, D, .] -> [B, H, T, E]. The query heads of one key head are
// stacked as rows of one matrix.
Tensor EfficientAttention::apply(const Tensor& rho, const KeySums& sums) const {
  int64_t e = config().value_dim, b = rho.dim(0), h = config().heads, kv = config().kv_heads;
  Tensor context = sums.sums;  // [B, Hkv, D, E]
  if (softmax_ && context.dim(3) > e)
    context = context.slice(3, 0, e) * inverse(context.slice(3, e, e + 1));
  Tensor rows = rho.reshape({b, kv, h / kv * rho.dim(2), rho.dim(3)});
  return matmul(rows, context).reshape({b, h, rho.dim(2), e});
}

Tensor EfficientAttention::causal(const Tensor& rho, const Keys& keys, const KeySums* before,
                                  int64_t offset) const {
  int64_t kv = config().kv_heads, e = config().value_dim, t = rho.dim(2), s = keys.k.dim(2);
  auto [empty_queries, active_queries, shared_keys, paired_keys] = align(offset, t, s);
  auto part = [&](int64_t begin, int64_t end) {
    return Keys{keys.k.slice(2, begin, end), keys.values.slice(2, begin, end)};
  };
  KeySums base;
  if (before) base = *before;
  if (shared_keys > 0) {
    KeySums first = sum_keys(part(0, shared_keys));
    base = before ? merge(base, first) : first;
  }
  Tensor q = by_key_head(rho.slice(2, empty_queries, t), kv);  // [B, Hkv, G, L, D]
  Keys own = part(shared_keys, shared_keys + paired_keys);
  double empty = softmax_ ? lowest(rho.dtype()) : 0;
  Tensor k = pad(own.k, 2, 0, active_queries - paired_keys, empty);     // [B, Hkv, L, D]
  Tensor values = pad(own.values, 2, 0, active_queries - paired_keys);  // [B, Hkv, L, E or E + 1]
  const KeySums* carried = base.sums.defined() ? &base : nullptr;
  Tensor out;
  if (active_queries == 0) {
    out = q.new_zeros({q.dim(0), kv, q.dim(2), 0, e});
  } else if (softmax_) {
    out = prefix_softmax(q, k, values, carried);  // [B, Hkv, G, L, E]
  } else {
    out = prefix_product(q, k.unsqueeze(2), values.unsqueeze(2));
    if (carried) out = out + matmul(q, base.sums.unsqueeze(2));
  }
  out = out.reshape({q.dim(0), config().heads, active_queries, e});
  return pad(out, 2, empty_queries, 0);  // [B, H, T, E]
}

Tensor EfficientAttention::causal_rows(const Tensor& rho, const Keys& keys,
                                       const Lengths& offset) const {
  if (offset.size() == 1) return causal(rho, keys, nullptr, offset[0]);
  std::vector<Tensor> rows;
  for (int64_t b = 0; b < rho.dim(0); ++b) {
    Keys own{keys.k.slice(0, b, b + 1), keys.values.slice(0, b, b + 1)};
    rows.push_back(causal(rho.slice(0, b, b + 1), own, nullptr, offset[b]));
  }
  return concat(rows, 0);
}

Tensor EfficientAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  const Mask& mask = call.mask;
  Lengths offset = query_offsets(mask, q.dim(2), k.dim(2));
  Tensor rho = queries(q, call), out;  // [B, H, T, D]
  if (config().causal) {
    out = causal_rows(rho, prepare(k, v, mask), offset);
  } else if (softmax_) {
    Tensor keys = k, valid = valid_keys(mask, k);  // [B, Hkv, S, D]
    if (valid.defined()) keys = where(valid, k, -std::numeric_limits<double>::infinity());
    Tensor context = matmul(softmax(keys, 2).transpose(2, 3), mask.select_keys(v, 2));
    out = apply(rho, {context, {}});  // [B, H, T, E]
  } else {
    out = apply(rho, sum_keys(prepare(k, v, mask)));
  }
  if (!softmax_)
    out =
        out * one_over_visible(mask, {}, q.dim(0), q.dim(2), k.dim(2), config().causal, offset, q);
  return mask.select_queries(out, 2);
}

// rho [B, H, n, D], k [B, H, S, D], visible [B or 1, 1, n, S] -> [B, H, n, S], by definition.
Tensor EfficientAttention::map_rows(const Tensor& rho, const Tensor& k,
                                    const Tensor& visible) const {
  if (!softmax_) {
    Tensor n = sum(visible.to(rho.dtype()), {3}, true);  // [B or 1, 1, n, 1]
    return where(visible, matmul(rho, k.transpose(2, 3)), 0.0) * inverse(n);
  }
  double hidden = -std::numeric_limits<double>::infinity();
  Tensor p = softmax(where(visible.unsqueeze(4), k.unsqueeze(2), hidden), 3);  // [B, H, n, S, D]
  return matmul(p, rho.unsqueeze(4)).squeeze(4);
}

Tensor EfficientAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                   const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries_count = q.dim(2), s = k.dim(2);
  check_rows(rows, queries_count, name());
  if (rows.empty() || s == 0)
    return q.new_zeros({batch, heads, static_cast<int64_t>(rows.size()), s});
  Tensor rho = queries(q, call);                                   // [B, H, T, D]
  Tensor keys = repeat_heads(call.mask.select_keys(k, 2), heads);  // [B, H, S, D]
  constexpr int64_t kMost = 8;  // rows at a time: each needs S D numbers
  auto map = [&](int64_t first, int64_t n) {
    Tensor visible = call.mask.rows(first, n, batch, queries_count, s)
                         .dense(batch, n, s, q.device(), config().causal);
    return map_rows(rho.slice(2, first, first + n), keys, visible);
  };
  return join_runs(rows, map, kMost);  // [B, H, R, S]
}

Tensor EfficientAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const AttentionCall& call) const {
  check_call(q, k, v, call);
  return map_times_values(*this, q, k, v, call);
}

Traits EfficientAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = t.grouped_heads = t.weights = true;
  t.permutation = true;
  t.row_stochastic = softmax_;
  t.decode = DecodeKind::fixed;
  t.why["pair_mask"] = t.why["bias"] =
      "keys meet values before any query is known, so that no pair can be treated on its own";
  t.why["weight_dropout"] = "there is no map of weights to drop from";
  return t;
}

std::unique_ptr<DecodeState> EfficientAttention::new_state(int64_t batch, int64_t, DType dtype,
                                                           Device device) const {
  const AttentionConfig& c = config();
  int64_t d = c.head_dim, e = c.value_dim;
  return std::make_unique<FixedState>(batch, c.kv_heads, d, softmax_ ? e + 1 : e, softmax_ ? d : 0,
                                      accumulate_dtype(dtype), device);
}

KeySums EfficientAttention::sums_of(const Tensor& k, const Tensor& v, const AttentionCall& call,
                                    const Lengths&) const {
  return sum_keys(prepare(k, v, call.mask));
}

Tensor EfficientAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionCall& call, DecodeState& state) const {
  if (needs_widening(q)) return step_widened(q, k, v, call, state);
  NoGrad guard;
  auto scope = enter();
  FixedState& s = state_as<FixedState>(state);
  check_sums_step(q, k, v, call, s);
  StepGuard past(s);
  const Mask& mask = call.mask;
  Lengths held = s.held();
  Tensor rho = queries(q, call), out;  // [B, H, T, D]
  bool causal_keys = k.defined() && config().causal;
  if (k.defined()) {
    Keys keys = prepare(k, v, mask);
    KeySums before = s.keys();
    // A single new query sees all keys in the state once its own has been added.
    if (causal_keys && q.dim(2) > 1) out = causal(rho, keys, &before, 0);
    s.add(sum_keys(keys), k.dim(2), mask);
  }
  if (!out.defined()) out = apply(rho, s.keys());
  if (!softmax_) {
    if (!causal_keys) held = s.held();
    // Without keys of its own, a step sees only the keys that the state holds.
    out = out * one_over_visible(causal_keys ? mask : Mask(), held, q.dim(0), q.dim(2),
                                 causal_keys ? q.dim(2) : 0, causal_keys, {0}, q);
  }
  return mask.select_queries(out, 2);
}

std::optional<ExactLimit> EfficientAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  AttentionConfig c = config();
  limit.reference = [c](const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionCall& call) {
    return EfficientAttention(c).reference(q, k, v, call);
  };
  return limit;
}

Cost EfficientAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t d = s.head_dim, e = s.value_dim, w = softmax_ ? e + 1 : e;
  auto [empty_queries, active_queries, shared_keys, paired_keys] =
      align(s.keys - s.queries, s.queries, s.keys);
  int64_t queries = s.heads * s.queries, keys = s.kv_heads * s.keys;  // rows of a batch item
  int64_t twice = pass == Pass::forward ? 1 : 2;
  Cost c;
  if (!config().causal) {
    c.flops = twice * 2 * d * e * (queries + keys);
  } else if (softmax_) {
    c.flops = twice * 2 * d * w * s.kv_heads * shared_keys;
    if (active_queries > 0)
      c.flops +=
          prefix_softmax_flops(active_queries, d, e, s.heads, s.kv_heads, shared_keys > 0, pass);
  } else {
    c.flops = prefix_product_flops(active_queries, d, e, s.heads, s.kv_heads, pass);
    if (shared_keys > 0)
      c.flops += twice * 2 * d * e * (s.heads * active_queries + s.kv_heads * shared_keys);
  }
  c.flops *= s.batch;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t io = queries * (d + e) + keys * (d + e);
  c.bytes = twice * s.batch * (io + (softmax_ ? (queries + keys) * d : 0)) * size;
  int64_t numbers = io + (softmax_ ? (queries + keys) * d : queries * e);
  if (!config().causal) numbers += s.kv_heads * d * e;
  int64_t bits = 0;
  if (config().causal && softmax_) {
    // prefix_softmax pads its rows to whole chunks.
    int64_t chunks = (active_queries + kPrefixChunk - 1) / kPrefixChunk,
            rows = chunks * kPrefixChunk;
    // Per head of queries: rho, and its padded copy if there is one; divided by the denominators,
    // and times the carried sums, each on half of the rows in six levels; the scores of the levels;
    // the result.
    int64_t of_queries = s.queries * d + (rows > active_queries ? rows * d : 0);
    of_queries += rows * (5 * d + kPrefixChunk / 2 + 1 + e);
    // Per head of keys: their own exponential, the inverse of the denominator, and what is carried;
    // keys and factors of the levels with their totals; values; carried sums and those of each
    // chunk.
    int64_t of_keys = rows * (11 * d + w) + chunks * d * w;
    if (chunks > 1) of_keys += rows * d + 2 * chunks * d * (w + 1);
    if (shared_keys > 0) of_keys += shared_keys * d + s.keys * w;  // keys that all queries see
    numbers = queries * d + keys * (d + e) + s.heads * of_queries + s.kv_heads * of_keys;
    bits = s.kv_heads * rows * d;  // where a denominator is 0
  }
  c.activation_bytes = s.batch * (numbers * wide + bits);
  c.state_bytes = s.batch * s.kv_heads * (softmax_ ? d * (e + 2) : d * e) * wide;
  return c;
}

}  // namespace heed::nn
