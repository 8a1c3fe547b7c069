// Dense softmax attention (Vaswani et al. 2017), computed in tiles with O(T) memory:
//
//   O = softmax(scale Q K^T + bias) V   over the visible keys; scale = 1 / sqrt(D) by default
//
// Everything is supported exactly: causal, cross, padding on either side, pair masks, biases,
// grouped heads (head h reads key head h / (H / Hkv)), dropout on the weights, decoding with a
// key-value cache. A query without a visible key gives 0. See docs/attention/dense.md.
//
// Option sinks=true: one more key per head, of learned logit c_h (parameter `sinks` [H], 0 at
// first) and value 0, so that a head can look at nothing: P = exp(S) / (exp(c) + sum exp S).
// "dense:sinks=true"
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class DenseAttention : public Attention {
 public:
  explicit DenseAttention(AttentionConfig config);
  const char* name() const override { return "dense"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The same, composed of primitives: O(T S) memory.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  Tensor sinks;  // [H]; undefined without the option

 private:
  Tensor fused(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
               const AttentionCall& call) const;
};

// The sizes of another variant, without its options.
AttentionConfig dense_config(AttentionConfig other);
// reference() of dense attention of those sizes, which many exact limits are compared with.
AttentionFunction dense_reference(const AttentionConfig& other);
// The cost of the fused kernels for this many query-key pairs per head.
Cost softmax_cost(int64_t pairs, const AttentionShape& shape, Pass pass);

}  // namespace heed::nn
