// The Gaussian pair of non-local blocks (Wang et al. 2018, arXiv 1711.07971): softmax of scores
// that are not divided by sqrt(D), over all positions of a map.
//
//   y_i = 1 / C sum_j exp(q_i . k_j) v_j    C = sum_j exp(q_i . k_j)   over the visible keys
//
//   embedded_gaussian   q and k are projections of the layer's input
//   gaussian            q and k are the layer's input itself: Traits::raw_qk
//
//   auto a = make_attention("embedded_gaussian", config);
//
// Option form: fast (default) is the fused op, O(T) memory; naive keeps the T x S map, composed of
// scores, softmax and product, to compare with. Both are exact. The scale is 1 by default. Cross,
// padding on both sides, pair masks, biases, dropout on the weights and grouped heads are exact.
// Positions of a map have no order, so there is neither a causal form nor decoding: `dense` and
// `luong` (dense attention with scale 1) have both. f32, f64, bf16. See
// docs/attention/embedded_gaussian.md.
#pragma once

#include <heed/nn/attention/dense.h>

namespace heed::nn {

class EmbeddedGaussianAttention : public Attention {
 public:
  explicit EmbeddedGaussianAttention(AttentionConfig config);
  const char* name() const override { return "embedded_gaussian"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The naive form.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

 private:
  double default_scale() const override { return 1; }
  AttentionCall scaled(const AttentionCall& call) const;

  bool naive_;
  DenseAttention dense_;
};

class GaussianAttention : public EmbeddedGaussianAttention {
 public:
  using EmbeddedGaussianAttention::EmbeddedGaussianAttention;
  const char* name() const override { return "gaussian"; }
  Traits traits() const override;
};

// The option `form` of the four non-local functions: whether it is naive.
bool naive_form(const Options& options);
// What traits() of all four say: no causal form, no decoding, and why.
Traits non_local_traits();
// The cost of a naive form that keeps `maps` T x S maps.
Cost naive_cost(const AttentionShape& shape, Pass pass, int64_t maps);

}  // namespace heed::nn
