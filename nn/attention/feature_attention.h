// The common part of attention with a feature map phi (linear attention, Performer): the softmax of
// scores is replaced by inner products of features, so that keys and values can be summed before
// any query is known.
//
//   o_i = sum_j w_ij v_j / (sum_j w_ij + eps)     over the visible keys j
//   w_ij = exp(level_j - top_i) phi(q_i) . phi(k_j)
//
// With exponential features, phi(k_j) is relative to the key's own largest one, exp(level_j),
// and top_i is the largest level that row i sees: nothing overflows, and no later key changes an
// earlier row. Maps without levels have w_ij = phi(q_i) . phi(k_j). eps is added to the denominator
// alone, so prefixes, streams and whole sequences agree.
//
// Not causal: phi(Q) (phi(K)^T [V, 1]), two products. Causal: prefix_product, in chunks.
//
// forward subtracts one constant from all values, c = the value of the first valid key, which every
// row sees, and adds it to the result again:
//   o_i = c + (sum_j w_ij (v_j - c) - eps c) / (sum_j w_ij + eps)
// This changes nothing but the rounding errors. With g the gradient of o_i, the gradient of w_ij is
// (g . v_j - g . o_i) / (sum_j w_ij + eps). If the values have a large part in common, both inner
// products are large and nearly equal, and little of their difference is correct; in a row that
// sees one key alone, where the gradient is 0 but for eps, nothing is. Without the common part both
// are small. The price: where c is far larger than a row's result (a first value of 1,000 that the
// row hardly attends to), the sum with c leaves an error of about |c| times the dtype's precision.
// Decoding uses the values as they are.
//
// A map derives from FeatureAttention and gives query_features, key_features and their number;
// forward, weights, decoding, cost and the exact limit follow.
#pragma once

#include <heed/nn/attention/fixed_state.h>
#include <heed/nn/attention/prefix.h>

namespace heed::nn {

struct Features {
  Tensor phi;    // [B, heads, N, R]
  Tensor level;  // [B, heads, N, 1]; undefined: 0
};
// exp(x) as phi = exp(x - level), level = the largest x of each token.
Features exponential_features(const Tensor& x);

class FeatureAttention : public PrefixAttention {
 public:
  FeatureAttention(AttentionConfig config, double eps);
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The same through the T x S map.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity, DType dtype,
                                         Device device) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

 protected:
  KeySums sums_of(const Tensor& k, const Tensor& v, const AttentionCall& call,
                  const Lengths& first) const override;
  // `first`: the position of token 0, one for all or one per batch row. A query's level is not
  // used, since it cancels.
  virtual Features query_features(const Tensor& q, const AttentionCall& call,
                                  const Lengths& first) const = 0;
  virtual Features key_features(const Tensor& k, const AttentionCall& call,
                                const Lengths& first) const = 0;
  virtual int64_t features() const = 0;  // R
  virtual bool has_levels() const = 0;
  virtual std::shared_ptr<FeatureAttention> equal_copy() const = 0;  // parameters included
  virtual int64_t map_flops(int64_t tokens, Pass) const;  // of phi, for `tokens` of one head
  virtual int64_t map_activations(int64_t tokens) const;  // numbers that phi saves for backward
  double eps() const { return eps_; }

 private:
  struct Keys {
    Features features;  // 0 and lowest at padding
    Tensor values;      // [B, Hkv, S, E + 1]: v - centre, 0 at padding, and a column of ones
  };
  // `centre` [B, Hkv, 1, E], or undefined: 0.
  Keys prepare(const Tensor& k, const Tensor& v, const AttentionCall& call, const Lengths& first,
               const Tensor& centre = {}) const;
  KeySums sum_keys(const Keys& keys) const;
  Tensor causal(const Tensor& phi_q, const Keys& keys, const KeySums* before, int64_t offset) const;
  Tensor normalised(const Tensor& sums, const AttentionCall& call, const Tensor& centre = {}) const;
  double eps_;
};

}  // namespace heed::nn
