#include <heed/nn/attention/dense.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/kv_step.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

DenseAttention::DenseAttention(AttentionConfig config) : Attention(std::move(config)) {
  if (!this->config().options.flag("sinks", false)) return;
  sinks = zeros({this->config().heads});
  register_parameter("sinks", sinks);
}

AttentionConfig dense_config(AttentionConfig other) {
  other.options = Options("dense");
  return other;
}

AttentionFunction dense_reference(const AttentionConfig& other) {
  return [c = dense_config(other)](const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionCall& call) {
    return DenseAttention(c).reference(q, k, v, call);
  };
}

Tensor DenseAttention::fused(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionTerms& terms, const AttentionCall& call) const {
  if (!sinks.defined()) return fused_attention(q, k, v, terms, fused_options(call));
  return with_sinks(fused_attention_parts(q, k, v, terms, fused_options(call)), sinks);
}

Tensor DenseAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  return fused(q, k, v, call.mask.terms(config().causal), call);  // [B, H, T, E]
}

Tensor DenseAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionCall& call) const {
  check_call(q, k, v, call);
  AttentionTerms terms = call.mask.terms(config().causal);
  FusedAttentionOptions options = fused_options(call);
  if (!sinks.defined()) return fused_attention_reference(q, k, v, terms, options);
  return with_sinks(fused_attention_parts_reference(q, k, v, terms, options), sinks);
}

Traits DenseAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = true;
  t.pair_mask = t.bias = t.weight_dropout = t.grouped_heads = true;
  t.weights = t.permutation = true;
  t.row_stochastic = !sinks.defined();  // the sink takes its share
  t.decode = DecodeKind::kv;
  return t;
}

// Consecutive rows are computed together: a run [i, i + n) needs one product and n S mask entries.
Tensor DenseAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                               const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  check_rows(rows, queries, name());
  if (rows.empty()) return q.new_zeros({batch, heads, 0, keys});
  double scale = scale_of(call);
  // Padding is selected to 0, since NaN would survive a product with 0.
  Tensor clean_q = call.mask.select_queries(q, 2);                                  // [B, H, T, D]
  Tensor key_t = repeat_heads(call.mask.select_keys(k, 2), heads).transpose(2, 3);  // [B, H, D, S]
  double hidden = -std::numeric_limits<double>::infinity();
  Tensor map = join_runs(rows, [&](int64_t first, int64_t count) {
    Mask mask = call.mask.rows(first, count, batch, queries, keys);
    Tensor scores = matmul(clean_q.slice(2, first, first + count) * scale, key_t);  // [B, H, n, S]
    Tensor bias = mask.dense_bias(batch, count, keys, q.dtype());
    if (bias.defined()) scores = scores + bias;
    Tensor visible =
        mask.dense(batch, count, keys, q.device(), config().causal);  // [B or 1, H or 1, n, S]
    scores = where(visible, scores, hidden);
    Tensor part = softmax(scores, -1);  // [B, H, n, S]
    if (sinks.defined() && keys > 0) part = with_sinks({part, logsumexp(scores, -1)}, sinks);
    return part;
  });  // [B, H, R, S]
  return drop_weights(map, rows, queries, call);
}

Tensor DenseAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, v, call, cache);
  KVStep s = begin_kv_step(cache, k, v, call.mask, config().causal, q.dim(2));
  return fused(q, s.keys, s.values, s.terms, call);  // [B, H, T, E]
}

std::optional<ExactLimit> DenseAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  auto same = std::make_shared<DenseAttention>(config());
  if (sinks.defined()) {
    same->sinks = sinks;
    Tensor values = sinks.detach().clone();
    limit.prepare = [values](Attention& other) {
      NoGrad guard;
      dynamic_cast<DenseAttention&>(other).sinks.set_value(values.array());
    };
  }
  limit.reference = [same](const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call) { return same->reference(q, k, v, call); };
  return limit;
}

Cost DenseAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t pairs = s.queries * s.keys;
  if (config().causal) {
    pairs = 0;
    for (int64_t i = 0; i < s.queries; ++i)
      pairs += std::clamp<int64_t>(i + 1 + s.keys - s.queries, 0, s.keys);
  }
  Cost c = softmax_cost(pairs, s, pass);
  // The output before the sink is kept too, and the share of the keys.
  if (sinks.defined())
    c.activation_bytes +=
        s.batch * s.heads * s.queries * (s.value_dim + 1) * static_cast<int64_t>(size_of(s.dtype));
  return c;
}

Cost softmax_cost(int64_t pairs, const AttentionShape& s, Pass pass) {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t q = s.batch * s.heads * s.queries * d, out = s.batch * s.heads * s.queries * e;
  int64_t k = s.batch * s.kv_heads * s.keys * d, v = s.batch * s.kv_heads * s.keys * e;
  int64_t lse = s.batch * s.heads * s.queries;  // log-sum-exp of each row, kept for backward
  Cost c;
  // Forward: Q K^T and P V. Backward: Q K^T again, dO V^T, P^T dO, dS K, dS^T Q.
  int64_t channels = pass == Pass::forward ? d + e : 3 * d + 2 * e;
  c.flops = 2 * s.batch * s.heads * pairs * channels;
  c.bytes = (q + k + v + out + lse) * size;
  if (pass == Pass::backward) c.bytes += (out + q + k + v) * size;  // dO in; dQ, dK, dV out
  c.activation_bytes = (q + k + v + out + lse) * size;
  c.state_bytes = (k + v) * size;
  return c;
}

}  // namespace heed::nn
