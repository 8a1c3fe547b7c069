#include <heed/nn/attention/concatenation.h>

#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/pairwise_relu.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/dot_product.h>
#include <heed/nn/attention/gaussian.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::nn {

ConcatenationAttention::ConcatenationAttention(AttentionConfig c)
    : Attention(c), naive_(naive_form(c.options)) {
  weight = zeros({c.heads, 2 * c.head_dim});
  double bound = 1 / std::sqrt(2 * static_cast<double>(c.head_dim));  // as a layer of 2 D inputs
  init::uniform_(weight, -bound, bound);
  register_parameter("weight", weight);
}

// relu(a + b) / N = relu(a / N + b / N): dividing the two vectors is cheaper than dividing the map
// or the result.
Tensor ConcatenationAttention::of_queries(const Tensor& q, const Mask& mask,
                                          const Tensor& share) const {
  int64_t d = config().head_dim;
  Tensor w = weight.to(q.dtype()).slice(1, 0, d).unsqueeze(2);  // [H, D, 1]
  return matmul(mask.select_queries(q, 2), w) * share;          // [B, H, T, 1]
}

Tensor ConcatenationAttention::of_keys(const Tensor& k, const Mask& mask,
                                       const Tensor& share) const {
  int64_t d = config().head_dim, heads = config().heads, kv = config().kv_heads;
  Tensor w = weight.to(k.dtype()).slice(1, d, 2 * d);                     // [H, D]
  w = w.reshape({kv, heads / kv, d}).transpose(1, 2);                     // [Hkv, D, G]
  Tensor b = matmul(mask.select_keys(k, 2), w);                           // [B, Hkv, S, G]
  b = b.transpose(2, 3).reshape({k.dim(0), heads, k.dim(2), 1}) * share;  // [B, H, S, 1]
  return b;
}

Tensor ConcatenationAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                       const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  if (naive_) return map_times_values(*this, q, k, v, call);
  Tensor share = one_over_visible(call.mask, k.dim(2), q);  // [B, 1, 1, 1]
  Tensor a = of_queries(q, call.mask, share).squeeze(3),
         b = of_keys(k, call.mask, share).squeeze(3);
  Tensor out = pairwise_relu(a, b, call.mask.select_keys(v, 2));  // [B, H, T, E]
  if (call.scale) out = out * scale_of(call);
  return call.mask.select_queries(out, 2);
}

Tensor ConcatenationAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                       const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), queries = q.dim(2), keys = k.dim(2);
  check_rows(rows, queries, name());
  if (rows.empty()) return q.new_zeros({batch, config().heads, 0, keys});
  Tensor share = one_over_visible(call.mask, keys, q);
  Tensor a = of_queries(q, call.mask, share);               // [B, H, T, 1]
  Tensor b = of_keys(k, call.mask, share).transpose(2, 3);  // [B, H, 1, S]
  bool padded = call.mask.has_key_padding() || call.mask.has_query_padding();
  return join_runs(rows, [&](int64_t first, int64_t n) {
    Tensor f = relu(a.slice(2, first, first + n) + b);  // [B, H, n, S]
    if (call.scale) f = f * scale_of(call);
    if (!padded) return f;
    Mask mask = call.mask.rows(first, n, batch, queries, keys);
    return where(mask.dense(batch, n, keys, q.device()), f, 0.0);
  });
}

Tensor ConcatenationAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                         const AttentionCall& call) const {
  check_call(q, k, v, call);
  return map_times_values(*this, q, k, v, call);
}

Traits ConcatenationAttention::traits() const {
  Traits t = non_local_traits();
  t.why["pair_mask"] = t.why["bias"] =
      "keys are added up in the order of their scores, so that no pair can be treated on its own";
  t.why["weight_dropout"] = "there is no map of weights to drop from";
  return t;
}

std::optional<ExactLimit> ConcatenationAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  auto same = std::make_shared<ConcatenationAttention>(config());
  same->weight = weight;
  Tensor values = weight.detach().clone();
  limit.prepare = [values](Attention& other) {
    NoGrad guard;
    dynamic_cast<ConcatenationAttention&>(other).weight.set_value(values.array());
  };
  limit.reference = [same](const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call) { return same->reference(q, k, v, call); };
  return limit;
}

// Keys whose relu is open for some head; the others have no influence on the row.
std::vector<int64_t> ConcatenationAttention::reach(const Tensor& q, const Tensor& k,
                                                   const AttentionCall& call, int64_t i) const {
  if (i < 0 || i >= q.dim(2)) throw ValueError(str(name(), ": reach of row ", i, " of ", q.dim(2)));
  AttentionCall plain = call;
  plain.scale.reset();
  Tensor row = weights(q, k, plain, {i}).slice(0, 0, 1);  // [1, H, 1, S]
  std::vector<double> open = sum(row, {0, 1, 2}).to_vector();
  std::vector<int64_t> keys;
  for (size_t j = 0; j < open.size(); ++j)
    if (open[j] > 0) keys.push_back(static_cast<int64_t>(j));
  return keys;
}

Cost ConcatenationAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t d = s.head_dim, e = s.value_dim, twice = pass == Pass::forward ? 1 : 2;
  int64_t heads = s.batch * s.heads, queries = heads * s.queries, keys = heads * s.keys;
  int64_t kv = s.batch * s.kv_heads * s.keys, pairs = heads * s.queries * s.keys;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t io = queries * (d + e) + kv * (d + e);
  Cost c;
  // a and b; then v and b v added up once, and a times the sum of v for every query.
  c.flops = twice * 2 * ((queries + keys) * d + (naive_ ? pairs : queries + keys) * e);
  c.bytes = twice * (io + 4 * (queries + keys) + (naive_ ? 4 * pairs : 0)) * size;
  // For the relu its operand and its result; a and b before and after their factor.
  int64_t numbers = io + (naive_ ? 1 : 2) * (queries + keys);
  if (naive_) numbers += 2 * pairs + (s.heads == s.kv_heads ? 0 : keys * e);
  c.activation_bytes = numbers * wide;
  return c;
}

}  // namespace heed::nn
