#include <heed/nn/attention/svd.h>

#include <algorithm>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/low_rank.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

SvdAttention::SvdAttention(AttentionConfig config) : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  rank_ = std::min(c.options.integer("rank", (c.head_dim + 1) / 2, 1), c.head_dim);
  projected_ = c.options.choice("gradient", "exact", {"exact", "projected"}) == "projected";
}

Traits SvdAttention::traits() const {
  Traits t;
  t.cross = t.key_padding = t.left_padding = t.bias = true;
  t.weight_dropout = t.grouped_heads = t.weights = t.row_stochastic = t.permutation = true;
  t.gradient = projected_ ? GradientKind::surrogate : GradientKind::exact;
  t.why = {
      {"causal", "the basis is made of all keys, later ones too"},
      {"pair_mask", "the basis is made of all keys, those hidden from a query too"},
      {"decode", "each new key changes the basis"},
  };
  return t;
}

SvdAttention::Factors SvdAttention::factors(const Tensor& q, const Tensor& k,
                                            const AttentionCall& call) const {
  // Padding would add directions of its own.
  Tensor queries = call.mask.select_queries(q, 2);  // [B, H, T, D]
  Tensor keys = call.mask.select_keys(k, 2);        // [B, Hkv, S, D]
  // Scores whose rank is at most r are left as they are.
  if (rank_ >= std::min({config().head_dim, q.dim(2), k.dim(2)})) return {queries, keys};
  LogitFactors f =
      low_rank_logits(queries, repeat_heads(keys, config().heads), {rank_, projected_});
  return {f.q, f.k};
}

Tensor SvdAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  Factors f = factors(q, k, call);
  Tensor values = f.k.dim(1) == v.dim(1) ? v : repeat_heads(v, config().heads);  // [B, ., S, E]
  return fused_attention(f.q, f.k, values, call.mask.terms(), fused_options(call));
}

Tensor SvdAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  check_rows(rows, q.dim(2), name());
  Factors f = factors(q, k, call);
  AttentionConfig c = config();
  c.head_dim = f.q.dim(3);
  c.kv_heads = f.k.dim(1);
  AttentionCall scaled = call;
  scaled.scale = 1.0f;  // a float would round the scale
  return DenseAttention(dense_config(c)).weights(f.q * scale_of(call), f.k, scaled, rows);
}

std::optional<ExactLimit> SvdAttention::exact_limit(const AttentionShape& shape) const {
  ExactLimit limit;
  limit.options = Options(name());
  limit.options.set("rank", std::to_string(shape.head_dim));
  limit.tolerance_f32 = 1e-5;  // below it the factors are rounded to f32
  limit.reference = dense_reference(config());
  return limit;
}

Cost SvdAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t heads = s.batch * s.heads, kv = s.batch * s.kv_heads;
  int64_t all = std::min({d, s.queries, s.keys}), r = std::min(rank_, all), drop = all - r;
  int64_t pq = std::min(d, s.queries), pk = std::min(d, s.keys);
  bool back = pass == Pass::backward, cut = r < all;
  int64_t q = heads * s.queries * d, out = heads * s.queries * e, lse = heads * s.queries;
  int64_t k = kv * s.keys * d, v = kv * s.keys * e, along = s.queries + s.keys;
  int64_t channels = cut ? r : d;
  Cost c;
  // The map, as dense attention with r channels; then the bases and, in backward, their products.
  // The factorizations themselves, O((T + S) D^2 + D^3), are not matrix products and do not count.
  c.flops = 2 * heads * s.queries * s.keys * (back ? 3 * channels + 2 * e : channels + e);
  if (cut && !back) c.flops += 2 * heads * (pq * pk * d + s.queries * pq * all + s.keys * pk * all);
  // Backward: V_r^T k and U_r^T q; and what G V_r and G^T U_r share, T r^2 + 2 S r^2.
  int64_t common = along * r * d + (s.queries + 2 * s.keys) * r * r;
  int64_t kept = along * (3 * r * d + r * r) + s.queries * r * r;  // gradients in the kept space
  int64_t rest = along * (r * drop + r * d + 2 * drop * d) + 4 * r * drop * d;  // with the dropped
  if (cut && back) c.flops += 2 * heads * (common + (projected_ ? along * r * d : kept + rest));
  c.bytes = (q + k + v + out + lse) * size;
  if (back) c.bytes += (out + q + k + v) * size;
  c.activation_bytes = (q + k + v + out + lse) * size;
  if (cut) {
    c.activation_bytes += heads * along * (r + all) * size + heads * all * int64_t{8};
    if (s.heads != s.kv_heads) c.activation_bytes += heads * s.keys * (d + e) * size;
  }
  return c;
}

}  // namespace heed::nn
