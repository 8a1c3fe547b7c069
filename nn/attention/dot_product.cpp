#include <heed/nn/attention/dot_product.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/plan.h>
#include <heed/nn/attention/gaussian.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

Tensor one_over_visible(const Mask& mask, int64_t keys, const Tensor& x) {
  Ranges valid = mask.key_ranges(x.dim(0), keys);
  std::vector<double> factor;
  for (size_t b = 0; b < valid.begin.size(); ++b) {
    int64_t n = valid.end[b] - valid.begin[b];
    factor.push_back(n > 0 ? 1 / static_cast<double>(n) : 0);
  }
  return Tensor(plan_on(Array::from(factor, {x.dim(0), 1, 1, 1}), x.device())).to(x.dtype());
}

DotProductAttention::DotProductAttention(AttentionConfig c)
    : Attention(c), naive_(naive_form(c.options)) {}

Tensor DotProductAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  if (naive_) return map_times_values(*this, q, k, v, call);
  int64_t batch = q.dim(0), heads = config().heads, kv = config().kv_heads;
  Tensor keys = call.mask.select_keys(k, 2), values = call.mask.select_keys(v, 2);
  // Scaled in [D, E], the smallest matrix.
  Tensor context = matmul(keys.transpose(2, 3), values) *
                   (one_over_visible(call.mask, k.dim(2), q) * scale_of(call));  // [B, Hkv, D, E]
  Tensor rows = call.mask.select_queries(q, 2);                                  // [B, H, T, D]
  if (heads == kv) return matmul(rows, context);                                 // [B, H, T, E]
  // The query heads of one key head are stacked as rows of one matrix.
  rows = rows.reshape({batch, kv, heads / kv * q.dim(2), q.dim(3)});
  return matmul(rows, context).reshape({batch, heads, q.dim(2), v.dim(3)});
}

Tensor DotProductAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                    const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  check_rows(rows, q.dim(2), name());
  if (rows.empty()) return q.new_zeros({q.dim(0), config().heads, 0, k.dim(2)});
  Tensor factor = one_over_visible(call.mask, k.dim(2), q) * scale_of(call);
  Tensor asked = call.mask.select_queries(q, 2) * factor;  // [B, H, T, D]
  // Padded keys are 0, and so is their score.
  Tensor keys = repeat_heads(call.mask.select_keys(k, 2), config().heads);  // [B, H, S, D]
  return join_runs(rows, [&](int64_t first, int64_t n) {
    return matmul(asked.slice(2, first, first + n), keys.transpose(2, 3));
  });  // [B, H, R, S]
}

Tensor DotProductAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const AttentionCall& call) const {
  check_call(q, k, v, call);
  return map_times_values(*this, q, k, v, call);
}

Traits DotProductAttention::traits() const {
  Traits t = non_local_traits();
  t.why["pair_mask"] = t.why["bias"] =
      "keys meet values before any query is known, so that no pair can be treated on its own";
  t.why["weight_dropout"] = "there is no map of weights to drop from";
  return t;
}

std::optional<ExactLimit> DotProductAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  AttentionConfig c = config();
  limit.reference = [c](const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionCall& call) {
    return DotProductAttention(c).reference(q, k, v, call);
  };
  return limit;
}

Cost DotProductAttention::cost(const AttentionShape& s, Pass pass) const {
  if (naive_) return naive_cost(s, pass, 1);
  int64_t d = s.head_dim, e = s.value_dim, twice = pass == Pass::forward ? 1 : 2;
  int64_t queries = s.batch * s.heads * s.queries, keys = s.batch * s.kv_heads * s.keys;
  int64_t context = s.batch * s.kv_heads * d * e;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  Cost c;
  c.flops = twice * 2 * d * e * (queries + keys);
  c.bytes = twice * ((queries + keys) * (d + e) + 3 * context) * size;
  c.activation_bytes = ((queries + keys) * (d + e) + 2 * context) * wide;
  return c;
}

}  // namespace heed::nn
