// Top-k attention: each query attends to the k visible keys of largest score, and to no other
// (Gupta et al. 2021, arXiv 2106.06899; Zhao et al. 2019, arXiv 1912.11637, "Explicit Sparse
// Transformer").
//
//   I_i = the k keys j with the largest s_ij = scale q_i . k_j + bias; ties: lowest j
//   o_i = sum_{j in I_i} softmax_{I_i}(s_i)_j v_j
//
// Scoring still takes O(T S D) time; the softmax, the products after it and backward take
// O(T k (D + E)). Memory is O(T k): scores are made in tiles, of which each query keeps its best.
// Gradients flow through the selected pairs; the selection itself is piecewise constant. If fewer
// than k keys are visible, all of them are selected.
//
//   auto a = make_attention("topk:k=16", config);   // option: k (32)
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class TopkAttention : public Attention {
 public:
  explicit TopkAttention(AttentionConfig config);
  const char* name() const override { return "topk"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The same, composed of primitives: gathers T k keys and values.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  // The keys that forward attends to: i32 [B, H, T, min(k, S)], -1 where fewer are visible.
  Tensor selected(const Tensor& q, const Tensor& k, const AttentionCall& call) const;
  // Forward for a selection made elsewhere.
  Tensor attend(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& selected,
                const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  std::vector<int64_t> reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             int64_t i) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

 private:
  // selected() and attend() of a call that has been checked.
  Tensor search(const Tensor& q, const Tensor& k, const AttentionCall& call) const;
  Tensor attend_to(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& selected,
                   const AttentionCall& call) const;
  int64_t k_;
};

}  // namespace heed::nn
