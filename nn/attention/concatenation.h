// The concatenation form of non-local blocks (Wang et al. 2018, arXiv 1711.07971; the score of
// relation networks, Santoro et al. 2017):
//
//   y_i = 1 / N sum_j relu(w . [q_i, k_j]) v_j        w [2 D] of each head, N visible keys
//
//   auto a = make_attention("concatenation", config);
//
// w . [q_i, k_j] = a_i + b_j with a = w_q . q and b = w_k . k: one number of the query and one of
// the key. Option form: fast (default) sorts both and adds up values and b v over the keys in their
// order, O(N log N) time and O(N) memory (autograd/ops/pairwise_relu.h); naive keeps the T x S map,
// to compare with. Both are exact. A call's scale multiplies the scores (1 by default). Cross,
// padding on both sides and grouped heads are exact; a query without a visible key gives 0. Pair
// masks, biases, dropout on the weights, a causal form and decoding are refused. Rows do not sum to
// 1. f32, f64, bf16 (computed in f32). See docs/attention/concatenation.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class ConcatenationAttention : public Attention {
 public:
  explicit ConcatenationAttention(AttentionConfig config);
  const char* name() const override { return "concatenation"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The naive form.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  std::vector<int64_t> reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             int64_t i) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  Tensor weight;  // w [H, 2 D]: first what meets queries, then what meets keys

 private:
  double default_scale() const override { return 1; }
  // The visible numbers a / N [B, H, T, 1] and b / N [B, H, S, 1]; padding gives 0.
  Tensor of_queries(const Tensor& q, const Mask& mask, const Tensor& share) const;
  Tensor of_keys(const Tensor& k, const Mask& mask, const Tensor& share) const;

  bool naive_;
};

}  // namespace heed::nn
