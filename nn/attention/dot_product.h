// The dot-product form of non-local blocks (Wang et al. 2018, arXiv 1711.07971): scores without a
// softmax, divided by their number.
//
//   y_i = 1 / N sum_j (q_i . k_j) v_j        N = number of visible keys
//
//   auto a = make_attention("dot_product", config);
//
// Option form: fast (default) multiplies keys and values first, q (k^T v) / N, so time and memory
// are linear in the number of positions; naive keeps the T x S map, to compare with. Both are
// exact. A call's scale multiplies the scores (1 by default). Cross, padding on both sides and
// grouped heads are exact; a query without a visible key gives 0. Pair masks, biases, dropout on
// the weights, a causal form and decoding are refused; `efficient:norm=scaling` is the same map
// with the last two. Rows do not sum to 1. f32, f64, bf16 (computed in f32). See
// docs/attention/dot_product.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class DotProductAttention : public Attention {
 public:
  explicit DotProductAttention(AttentionConfig config);
  const char* name() const override { return "dot_product"; }
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
  bool naive_;
};

// 1 / N for each item of the batch [B, 1, 1, 1], in x's dtype and on its device: N of `keys` keys
// are visible under the mask's padding. 0 where none is.
Tensor one_over_visible(const Mask& mask, int64_t keys, const Tensor& x);

}  // namespace heed::nn
