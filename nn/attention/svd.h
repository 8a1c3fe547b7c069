// Attention whose scores are truncated to rank r:
//
//   O = softmax(scale (Q K^T)_r + bias) V;  (Q K^T)_r the best approximation of rank r
//
//   auto a = make_attention("svd:rank=16", config);
//
// By QR of Q and K and the SVD of a D x D core (autograd/ops/low_rank.h): the T x S scores are
// never decomposed, nor stored. Options: rank (half of D, rounded up; clamps to D, and to T and S),
// gradient = exact (a gap guard keeps near-equal singular values from blowing it up) or projected
// (bases count as constants; the traits then say surrogate). rank = D is dense attention.
//
// This reduces the head size, not the T x S work: the softmax of a matrix of rank r has full rank.
// Neither causal nor pair masks, since the basis is made of all keys. See docs/attention/svd.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class SvdAttention : public Attention {
 public:
  explicit SvdAttention(AttentionConfig config);
  const char* name() const override { return "svd"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  int64_t rank() const { return rank_; }

 private:
  struct Factors {
    Tensor q, k;  // scores = scale q k^T: [B, H, T, r], [B, H or Hkv, S, r]
  };
  Factors factors(const Tensor& q, const Tensor& k, const AttentionCall& call) const;

  int64_t rank_;
  bool projected_;
};

}  // namespace heed::nn
