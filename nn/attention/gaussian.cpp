#include <heed/nn/attention/gaussian.h>

#include <heed/nn/attention/score_map.h>

namespace heed::nn {

bool naive_form(const Options& options) {
  return options.choice("form", "fast", {"fast", "naive"}) == "naive";
}

Traits non_local_traits() {
  Traits t;
  t.cross = t.key_padding = t.left_padding = t.grouped_heads = t.weights = t.permutation = true;
  t.why["causal"] = "it mixes the positions of a map, which have no order in time";
  t.why["decode"] = "a map is there as a whole";
  return t;
}

EmbeddedGaussianAttention::EmbeddedGaussianAttention(AttentionConfig c)
    : Attention(c), naive_(naive_form(c.options)), dense_(dense_config(c)) {}

AttentionCall EmbeddedGaussianAttention::scaled(const AttentionCall& call) const {
  AttentionCall own = call;
  own.scale = static_cast<float>(scale_of(call));
  return own;
}

Tensor EmbeddedGaussianAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                          const AttentionCall& call) const {
  if (naive_ && needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  return naive_ ? map_times_values(*this, q, k, v, call)
                : dense_.forward(q, k, v, scaled(call));  // [B, H, T, E]
}

Tensor EmbeddedGaussianAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                            const AttentionCall& call) const {
  check_call(q, k, v, call);
  return map_times_values(*this, q, k, v, call);
}

Tensor EmbeddedGaussianAttention::weights(const Tensor& q, const Tensor& k,
                                          const AttentionCall& call,
                                          const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  check_rows(rows, q.dim(2), name());
  return dense_.weights(q, k, scaled(call), rows);  // [B, H, R, S]
}

Traits EmbeddedGaussianAttention::traits() const {
  Traits t = non_local_traits();
  t.pair_mask = t.bias = t.weight_dropout = t.row_stochastic = true;
  return t;
}

Traits GaussianAttention::traits() const {
  Traits t = EmbeddedGaussianAttention::traits();
  t.raw_qk = true;
  return t;
}

std::optional<ExactLimit> EmbeddedGaussianAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = config().options;
  AttentionConfig c = config();
  limit.reference = [c](const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionCall& call) {
    return EmbeddedGaussianAttention(c).reference(q, k, v, call);
  };
  return limit;
}

Cost naive_cost(const AttentionShape& s, Pass pass, int64_t maps) {
  int64_t d = s.head_dim, e = s.value_dim, twice = pass == Pass::forward ? 1 : 2;
  int64_t heads = s.batch * s.heads, kv = s.batch * s.kv_heads, pairs = heads * s.queries * s.keys;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t io = heads * s.queries * (d + e) + kv * s.keys * (d + e);
  Cost c;
  c.flops = twice * 2 * pairs * (d + e);
  c.bytes = twice * (io + 2 * maps * pairs) * size;
  // Keys and values are repeated for every query head where these are more.
  int64_t repeated = s.heads == s.kv_heads ? 0 : heads * s.keys * (d + e);
  // The queries times their factor are kept beside the queries themselves.
  c.activation_bytes = (io + repeated + heads * s.queries * d + maps * pairs) * wide;
  return c;
}

Cost EmbeddedGaussianAttention::cost(const AttentionShape& s, Pass pass) const {
  if (naive_) {
    Cost c = naive_cost(s, pass, 1);
    c.activation_bytes += 2 * s.queries * s.keys;  // which pairs are visible, and which rows
    return c;
  }
  int64_t pairs = s.queries * s.keys;
  Cost c = softmax_cost(pairs, s, pass);
  c.state_bytes = 0;
  return c;
}

}  // namespace heed::nn
