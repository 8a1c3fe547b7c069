#include <heed/nn/attention/topk.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/selected_attention.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/kv_step.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

TopkAttention::TopkAttention(AttentionConfig config)
    : Attention(std::move(config)),
      k_(this->config().options.integer("k", 32, 1, int64_t{1} << 30)) {}

Tensor TopkAttention::selected(const Tensor& q, const Tensor& k, const AttentionCall& call) const {
  check_call(q, k, Tensor(), call);
  return search(q, k, call);
}

Tensor TopkAttention::search(const Tensor& q, const Tensor& k, const AttentionCall& call) const {
  NoGrad guard;
  return attention_topk(q, k, call.mask.terms(config().causal), scale_of(call), k_);
}

Tensor TopkAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                             const Tensor& selected, const AttentionCall& call) const {
  check_call(q, k, v, call);
  return attend_to(q, k, v, selected, call);
}

Tensor TopkAttention::attend_to(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& selected, const AttentionCall& call) const {
  SelectedAttentionOptions options;
  options.base = fused_options(call);
  return selected_attention(q, k, v, selected, call.mask.terms(config().causal), options);
}

Tensor TopkAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  return attend_to(q, k, v, search(q, k, call), call);  // [B, H, T, E]
}

Tensor TopkAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionCall& call) const {
  check_call(q, k, v, call);
  SelectedAttentionOptions options;
  options.base = fused_options(call);
  return selected_attention_reference(q, k, v, search(q, k, call), call.mask.terms(config().causal),
                                      options);
}

Traits TopkAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = true;
  t.pair_mask = t.bias = t.weight_dropout = t.grouped_heads = true;
  t.weights = t.row_stochastic = t.permutation = true;
  t.decode = DecodeKind::kv;
  return t;
}

// Dense attention's map of these rows, with the selection as a pair mask.
Tensor TopkAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                              const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  check_rows(rows, queries, name());
  DenseAttention dense(dense_config(config()));
  AttentionCall part;
  part.scale = call.scale;
  std::vector<Tensor> parts;
  for (int64_t i : rows) {
    part.mask = call.mask.rows(i, 1, batch, queries, keys);
    Tensor row = q.slice(2, i, i + 1);  // [B, H, 1, D]
    Tensor list = search(row, k, part);
    part.mask = part.mask & Mask::pairs(listed_pairs(list, keys));
    parts.push_back(dense.weights(row, k, part, {0}));  // [B, H, 1, S]
  }
  if (parts.empty()) return q.new_zeros({batch, heads, 0, keys});
  Tensor map = concat(parts, 2);  // [B, H, R, S]
  return drop_weights(map, rows, queries, call);
}

Tensor TopkAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, v, call, cache);
  KVStep s = begin_kv_step(cache, k, v, call.mask, config().causal, q.dim(2));
  Tensor list = attention_topk(q, s.keys, s.terms, scale_of(call), k_);  // [B, H, T, k]
  SelectedAttentionOptions options;
  options.base.scale = scale_of(call);
  return selected_attention(q, s.keys, s.values, list, s.terms, options);  // [B, H, T, E]
}

std::optional<ExactLimit> TopkAttention::exact_limit(const AttentionShape& shape) const {
  ExactLimit limit;
  limit.options = Options("topk");
  limit.options.set("k", std::to_string(std::max<int64_t>(1, shape.keys)));
  limit.reference = dense_reference(config());
  return limit;
}

std::vector<int64_t> TopkAttention::reach(const Tensor& q, const Tensor& k,
                                          const AttentionCall& call, int64_t i) const {
  if (i < 0 || i >= q.dim(2)) throw ValueError(str("topk: reach of row ", i, " of ", q.dim(2)));
  AttentionCall row = call;
  row.dropout = 0;
  row.mask = call.mask.rows(i, 1, q.dim(0), q.dim(2), k.dim(2));
  Tensor list = selected(q.slice(2, i, i + 1), k, row);  // [B, H, 1, k]
  std::vector<int64_t> keys;
  for (double j : list.slice(0, 0, 1).to_vector())
    if (j >= 0) keys.push_back(static_cast<int64_t>(j));
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

Cost TopkAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t scored = 0, chosen = 0;
  for (int64_t i = 0; i < s.queries; ++i) {
    int64_t seen = s.keys;
    if (config().causal) seen = std::clamp<int64_t>(i + 1 + s.keys - s.queries, 0, s.keys);
    scored += seen;
    chosen += std::min(seen, k_);
  }
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t q = s.batch * s.heads * s.queries * d, out = s.batch * s.heads * s.queries * e;
  int64_t k = s.batch * s.kv_heads * s.keys * d, v = s.batch * s.kv_heads * s.keys * e;
  int64_t rows = s.batch * s.heads * s.queries, list = 4 * rows * std::min(k_, s.keys);
  Cost c;
  // Forward: all scores, then those of the selected pairs again, and P V. Backward, on the selected
  // pairs: scores again, dO V^T, P^T dO, dS K, dS^T Q.
  int64_t flops = pass == Pass::forward ? scored * d + chosen * (d + e) : chosen * (3 * d + 2 * e);
  c.flops = 2 * s.batch * s.heads * flops;
  c.bytes = (q + k + v + out + rows) * size + list;
  if (pass == Pass::forward) c.bytes += (q + k) * size + list;
  else c.bytes += (out + q + k + v) * size;
  c.activation_bytes = (q + k + v + out + rows) * size + list;
  c.state_bytes = (k + v) * size;
  return c;
}

}  // namespace heed::nn
