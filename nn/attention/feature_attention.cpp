#include <heed/nn/attention/feature_attention.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/prefix_softmax.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

namespace {

// The value of each row's first valid key, a constant [B, Hkv, 1, E]; 0 where there is none.
Tensor first_values(const Tensor& v, const Mask& mask) {
  if (v.numel() == 0) return {};
  NoGrad guard;
  Tensor constant = v.detach();
  if (!mask.has_key_padding()) return constant.slice(2, 0, 1).clone();
  Ranges valid = mask.key_ranges(v.dim(0), v.dim(2));
  std::vector<Tensor> rows;
  for (int64_t b = 0; b < v.dim(0); ++b) {
    int64_t first = valid.begin[static_cast<size_t>(b)];
    rows.push_back(valid.size(b) > 0 ? constant.slice(0, b, b + 1).slice(2, first, first + 1)
                                     : v.new_zeros({1, v.dim(1), 1, v.dim(3)}));
  }
  return concat(rows, 0);
}

}  // namespace

// The level is differentiated like everything else, since with eps it does not cancel entirely.
Features exponential_features(const Tensor& x) {
  Tensor level = max(x, -1, true);  // [.., N, 1]
  return {exp(x - level), level};
}

FeatureAttention::FeatureAttention(AttentionConfig config, double eps)
    : PrefixAttention(std::move(config)), eps_(eps) {}

FeatureAttention::Keys FeatureAttention::prepare(const Tensor& k, const Tensor& v,
                                                 const AttentionCall& call, const Lengths& first,
                                                 const Tensor& centre) const {
  const Mask& mask = call.mask;
  Keys keys;
  keys.features = key_features(mask.select_keys(k, 2), call, first);  // [B, Hkv, S, R]
  // The features of a token of zeros need not be 0: padding is removed once more, so that it does
  // not enter the denominators.
  keys.features.phi = mask.select_keys(keys.features.phi, 2);
  Tensor& level = keys.features.level;  // [B, Hkv, S, 1]
  const AttentionTerms& terms = mask.terms();
  if (level.defined() && mask.has_key_padding()) {
    Tensor valid = valid_positions(terms.key_begin, terms.key_end, k.dim(2), k.device());  // [B, S]
    level = where(valid.reshape({k.dim(0), 1, k.dim(2), 1}), level, lowest(k.dtype()));
  }
  if (v.defined()) {
    Tensor one = v.new_ones({v.dim(0), v.dim(1), v.dim(2), 1});
    Tensor relative = centre.defined() ? v - centre : v;            // [B, Hkv, S, E]
    keys.values = concat({mask.select_keys(relative, 2), one}, 3);  // [B, Hkv, S, E + 1]
  }
  return keys;
}

// sum_j exp(level_j - top) phi_j [v_j, 1]^T. The narrower operand is multiplied by the factor.
KeySums FeatureAttention::sum_keys(const Keys& keys) const {
  Tensor phi_t = keys.features.phi.transpose(2, 3);  // [B, Hkv, R, S]
  if (!has_levels()) return {matmul(phi_t, keys.values), {}};
  const Tensor& level = keys.features.level;  // [B, Hkv, S, 1]
  Tensor top = level.dim(2) > 0
                   ? max(level, 2, true)
                   : level.new_full({level.dim(0), level.dim(1), 1, 1}, lowest(level.dtype()));
  return {matmul(phi_t, keys.values * exp(level - top)), top};  // [B, Hkv, R, E + 1]
}

// Query i sees `before` and the keys j <= i + offset. The keys that all queries see are summed at
// once; the later keys are aligned with the queries, and prefix_product takes both.
Tensor FeatureAttention::causal(const Tensor& phi_q, const Keys& keys, const KeySums* before,
                                int64_t offset) const {
  int64_t kv = config().kv_heads, t = phi_q.dim(2), s = keys.values.dim(2);
  auto [empty_queries, active_queries, shared_keys, paired_keys] = align(offset, t, s);
  int64_t short_of = active_queries - paired_keys;  // queries after the last key
  auto part = [&](int64_t begin, int64_t end) {
    Keys out;
    out.features.phi = keys.features.phi.slice(2, begin, end);
    if (has_levels()) out.features.level = keys.features.level.slice(2, begin, end);
    out.values = keys.values.slice(2, begin, end);
    return out;
  };
  KeySums base;
  if (before) base = *before;
  if (shared_keys > 0) {
    KeySums first = sum_keys(shared_keys == s ? keys : part(0, shared_keys));
    base = before ? merge(base, first) : first;
  }
  Tensor q = by_key_head(phi_q.slice(2, empty_queries, t), kv);  // [B, Hkv, G, L, R]
  Keys own = part(shared_keys, shared_keys + paired_keys);
  Tensor phi = pad(own.features.phi, 2, 0, short_of).unsqueeze(2);  // [B, Hkv, 1, L, R]
  Tensor values = pad(own.values, 2, 0, short_of).unsqueeze(2);     // [B, Hkv, 1, L, E + 1]
  Tensor level, top;
  if (has_levels()) {
    level = pad(own.features.level, 2, 0, short_of, lowest(q.dtype()));  // [B, Hkv, L, 1]
    top = running_max(level, 2);                                         // [B, Hkv, L, 1]
    if (base.top.defined()) top = maximum(top, base.top);
    level = level.unsqueeze(2), top = top.unsqueeze(2);  // [B, Hkv, 1, L, 1]
  }
  Tensor out = has_levels() ? prefix_product(q, phi, values, -top, level)
                            : prefix_product(q, phi, values);  // [B, Hkv, G, L, E + 1]
  if (base.sums.defined()) {
    Tensor old = matmul(q, base.sums.unsqueeze(2));  // [B, Hkv, G, L, E + 1]
    out = out + (has_levels() ? old * exp(base.top.unsqueeze(2) - top) : old);
  }
  out = out.reshape({q.dim(0), config().heads, active_queries, values.dim(4)});
  return pad(out, 2, empty_queries, 0);  // [B, H, T, E + 1]
}

Tensor FeatureAttention::normalised(const Tensor& sums, const AttentionCall& call,
                                    const Tensor& centre) const {
  int64_t e = sums.dim(3) - 1;
  Tensor total = sums.slice(3, e, e + 1);                              // [B, H, T, 1]
  Tensor over = eps_ > 0 ? reciprocal(total + eps_) : inverse(total);  // [B, H, T, 1]
  Tensor out = sums.slice(3, 0, e) * over;                             // [B, H, T, E]
  if (centre.defined()) {
    // total / (total + eps), in a form whose derivative is as small as it should be. A row that
    // sees no key, or shares no feature with any key, stays 0.
    Tensor share = 1.0 - eps_ * over;                           // [B, H, T, 1]
    Tensor common = repeat_heads(centre, sums.dim(1)) * share;  // [B, H, T, E]
    out = out + where(equal(total, 0.0), 0.0, common);
  }
  return call.mask.select_queries(out, 2);
}

Tensor FeatureAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  Lengths offset = query_offsets(call.mask, q.dim(2), k.dim(2));
  Tensor phi_q = query_features(call.mask.select_queries(q, 2), call, offset).phi;  // [B, H, T, R]
  Tensor centre = first_values(v, call.mask);  // [B, Hkv, 1, E]
  Keys keys = prepare(k, v, call, {0}, centre);
  if (!config().causal) {
    // The query heads of one key head are stacked as rows of one matrix.
    Tensor rows = phi_q.reshape(
        {q.dim(0), config().kv_heads, config().heads / config().kv_heads * q.dim(2), features()});
    Tensor sums = matmul(rows, sum_keys(keys).sums);  // [B, Hkv, G T, E + 1]
    return normalised(sums.reshape({q.dim(0), config().heads, q.dim(2), v.dim(3) + 1}), call,
                      centre);
  }
  if (offset.size() == 1) return normalised(causal(phi_q, keys, nullptr, offset[0]), call, centre);
  std::vector<Tensor> rows;
  for (int64_t b = 0; b < q.dim(0); ++b) {
    Keys own;
    own.features.phi = keys.features.phi.slice(0, b, b + 1);
    if (has_levels()) own.features.level = keys.features.level.slice(0, b, b + 1);
    own.values = keys.values.slice(0, b, b + 1);
    rows.push_back(causal(phi_q.slice(0, b, b + 1), own, nullptr, offset[b]));
  }
  return normalised(concat(rows, 0), call, centre);
}

Tensor FeatureAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                 const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), s = k.dim(2);
  check_rows(rows, queries, name());
  if (rows.empty() || s == 0)
    return q.new_zeros({batch, heads, static_cast<int64_t>(rows.size()), s});
  Lengths offset = query_offsets(call.mask, queries, s);
  Tensor phi_q = query_features(call.mask.select_queries(q, 2), call, offset).phi;
  Features keys = prepare(k, Tensor(), call, {0}).features;
  Tensor phi_t = repeat_heads(keys.phi, heads).transpose(2, 3);  // [B, H, R, S]
  auto map = [&](int64_t first, int64_t n) {
    Tensor visible =
        call.mask.rows(first, n, batch, queries, s).dense(batch, n, s, q.device(), config().causal);
    Tensor w = matmul(phi_q.slice(2, first, first + n), phi_t);  // [B, H, n, S]
    if (has_levels()) {
      Tensor level = repeat_heads(keys.level, heads).transpose(2, 3);       // [B, H, 1, S]
      Tensor top = max(where(visible, level, lowest(q.dtype())), 3, true);  // [B, H, n, 1]
      w = w * exp(where(visible, level - top, 0.0));
    }
    w = where(visible, w, 0.0);
    Tensor total = sum(w, {3}, true);                           // [B, H, n, 1]
    return eps_ > 0 ? w / (total + eps_) : w * inverse(total);  // [B, H, n, S]
  };
  return join_runs(rows, map);  // [B, H, R, S]
}

Tensor FeatureAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionCall& call) const {
  check_call(q, k, v, call);
  return map_times_values(*this, q, k, v, call);
}

Traits FeatureAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = t.grouped_heads = t.weights = true;
  t.permutation = true;
  t.decode = DecodeKind::fixed;
  t.why["pair_mask"] = t.why["bias"] =
      "keys are summed before any query is known, so that no pair can be treated on its own";
  t.why["weight_dropout"] = "there is no map of weights to drop from";
  return t;
}

std::unique_ptr<DecodeState> FeatureAttention::new_state(int64_t batch, int64_t, DType dtype,
                                                         Device device) const {
  return std::make_unique<FixedState>(batch, config().kv_heads, features(), config().value_dim + 1,
                                      has_levels() ? 1 : 0, accumulate_dtype(dtype), device);
}

KeySums FeatureAttention::sums_of(const Tensor& k, const Tensor& v, const AttentionCall& call,
                                  const Lengths& first) const {
  return sum_keys(prepare(k, v, call, first));
}

Tensor FeatureAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionCall& call, DecodeState& state) const {
  if (needs_widening(q)) return step_widened(q, k, v, call, state);
  NoGrad guard;
  auto scope = enter();
  FixedState& s = state_as<FixedState>(state);
  check_sums_step(q, k, v, call, s);
  StepGuard past(s);
  bool fresh = k.defined();
  Lengths first = fresh ? s.first_positions(call.mask, q.dim(2)) : s.held().minus(q.dim(2));
  Tensor phi_q = query_features(call.mask.select_queries(q, 2), call, first).phi;  // [B, H, T, R]
  if (fresh) {
    Keys keys = prepare(k, v, call, first);
    // Several causal queries each see the new keys up to their own, so they are served before the
    // state takes the keys in. A single query, or a non-causal one, sees all of them.
    Tensor out;
    KeySums before = s.keys();
    if (config().causal && q.dim(2) > 1) out = causal(phi_q, keys, &before, 0);
    s.add(sum_keys(keys), k.dim(2), call.mask);
    if (out.defined()) return normalised(out, call);
  }
  Tensor sums = matmul(by_key_head(phi_q, config().kv_heads), s.keys().sums.unsqueeze(2));
  return normalised(sums.reshape({q.dim(0), q.dim(1), q.dim(2), config().value_dim + 1}), call);
}

std::optional<ExactLimit> FeatureAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  std::shared_ptr<FeatureAttention> same = equal_copy();
  limit.reference = [same](const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call) { return same->reference(q, k, v, call); };
  return limit;
}

int64_t FeatureAttention::map_flops(int64_t, Pass) const { return 0; }
int64_t FeatureAttention::map_activations(int64_t) const { return 0; }

Cost FeatureAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t r = features(), w = s.value_dim + 1;
  auto [empty_queries, active_queries, shared_keys, paired_keys] =
      align(s.keys - s.queries, s.queries, s.keys);
  int64_t queries = s.heads * s.queries, keys = s.kv_heads * s.keys;  // rows of a batch item
  bool forward = pass == Pass::forward;
  Cost c;
  c.flops = s.heads * map_flops(s.queries, pass) + s.kv_heads * map_flops(s.keys, pass);
  if (!config().causal) {
    c.flops += (forward ? 1 : 2) * 2 * r * w * (queries + keys);
  } else {
    if (shared_keys > 0)
      c.flops +=
          (forward ? 1 : 2) * 2 * r * w * (s.heads * active_queries + s.kv_heads * shared_keys);
    c.flops += prefix_product_flops(active_queries, r, w, s.heads, s.kv_heads, pass);
  }
  c.flops *= s.batch;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t io = queries * s.head_dim + keys * (s.head_dim + s.value_dim) + queries * s.value_dim;
  c.bytes = s.batch * (io + (queries + keys) * r) * size;
  if (!forward) c.bytes += s.batch * (io + (queries + keys) * r) * size;
  // Inputs; features with what their map saves; values with a column of ones; sums with the
  // inverse of their denominators and the share that eps leaves; the result.
  int64_t numbers = io + (queries + keys) * r + keys * w + queries * (w + 2);
  numbers += s.heads * map_activations(s.queries) + s.kv_heads * map_activations(s.keys);
  if (!config().causal) {
    numbers += s.kv_heads * r * w;
    if (has_levels()) numbers += keys * (w + 1);  // values relative to the largest level
  } else if (has_levels()) {
    int64_t doublings = 0;  // steps of the running maximum, each of which saves its operands
    for (int64_t reach = 1; reach < active_queries; reach *= 2) ++doublings;
    numbers += keys * (2 * doublings + 2);
  }
  c.activation_bytes = s.batch * numbers * wide;
  c.state_bytes = s.batch * s.kv_heads * (r * w + (has_levels() ? 1 : 0)) * wide;
  return c;
}

}  // namespace heed::nn
