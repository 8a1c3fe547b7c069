#include <limits>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>

namespace heed {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Seen {
  Tensor queries;  // bool [B or 1, H or 1, T, 1]: sees a key
  Tensor keys;     // bool [B or 1, Hkv or 1, S, 1]: seen by a query of its heads
  Tensor fill;     // for invisible scores: -inf, or 0 in a row without a visible key (no NaN)
};

Seen seen(const Tensor& visible, int64_t group, DType dtype) {
  int64_t b = visible.dim(0), h = visible.dim(1), t = visible.dim(2), s = visible.dim(3);
  int64_t kv = h > 1 ? h / group : 1, per = h / kv;
  Tensor map = visible.to(DType::i32);
  Tensor queries = greater(sum(map, {3}, true), 0.0);
  Tensor keys = greater(sum(map.reshape({b, kv, per, t, s}), {2, 3}), 0.0).unsqueeze(3);
  return {queries, keys, where(queries, visible.new_full({1}, -kInfinity, dtype), 0.0)};
}

Tensor repeat_heads(const Tensor& x, int64_t group) {
  if (group == 1) return x;
  int64_t b = x.dim(0), h = x.dim(1), s = x.dim(2), d = x.dim(3);
  return reshape(broadcast_to(unsqueeze(x, 2), {b, h, group, s, d}), {b, h * group, s, d});
}

AttentionParts composed(const Tensor& q_in, const Tensor& k_in, const Tensor& v_in,
                        const AttentionTerms& terms, const FusedAttentionOptions& options,
                        bool with_lse) {
  check_attention(q_in, k_in, v_in, terms, options);
  Tensor q = q_in, k = k_in, v = v_in;
  int64_t batch = q.dim(0), t = q.dim(2), s = k.dim(2), group = k.dim(1) ? q.dim(1) / k.dim(1) : 1;

  Tensor visible = visible_pairs(terms, batch, t, s, q.device());  // [B or 1, H or 1, T, S]
  Seen any = seen(visible, group, q.dtype());
  // Selected, not multiplied: 0 x NaN would spread NaN to the products and their gradients.
  q = where(any.queries, q, 0.0);
  k = repeat_heads(where(any.keys, k, 0.0), group);  // [B, H, S, D]
  v = repeat_heads(where(any.keys, v, 0.0), group);  // [B, H, S, E]

  Tensor scores = matmul(q * options.scale, transpose(k, 2, 3));  // [B, H, T, S]
  Tensor bias = bias_terms(terms, batch, t, s, q.dtype());
  if (bias.defined()) scores = scores + bias;
  scores = where(visible, scores, any.fill);
  Tensor lse;
  if (with_lse) {  // the scores of rows without a key are 0: set lse to -inf, with no gradient
    Tensor wide = widened(scores);
    lse = s > 0 ? where(any.queries, logsumexp(wide, -1, true), -kInfinity)
                : wide.new_full({batch, q.dim(1), t, 1}, -kInfinity);
    lse = lse.squeeze(3);
  }
  Tensor weights = where(visible, softmax(scores, -1), 0.0);
  if (options.dropout > 0) weights = dropout(weights, options.dropout, options.key);
  return {matmul(weights, v), lse};  // [B, H, T, E], [B, H, T]
}

}  // namespace

Tensor fused_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionTerms& terms,
                                 const FusedAttentionOptions& options) {
  return composed(q, k, v, terms, options, false).out;
}

AttentionParts fused_attention_parts_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                               const AttentionTerms& terms,
                                               const FusedAttentionOptions& options) {
  return composed(q, k, v, terms, options, true);
}

}  // namespace heed
