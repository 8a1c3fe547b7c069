// Nystrom attention (Xiong et al. 2021, arXiv 2102.03902): the softmax map through m landmarks, the
// means Q~ and K~ of segments of queries and keys,
//
//   F = softmax(s Q K~^T)  W = softmax(s Q~ K~^T)  B = softmax(s Q~ K^T)    O = F W^+ (B V)
//
//   auto a = make_attention("nystrom:landmarks=64,conv=33", config);
//
// Options: landmarks (64; at most each row's number of valid tokens), iterations (6) of the
// pseudo-inverse, ridge (0): (W^T W + ridge I)^-1 W^T instead of W^+, conv (0: none; odd): adds a
// depthwise convolution over the positions of V, one learned kernel per head (self-attention only).
//
// Means are over valid tokens only. The pseudo-inverse is iterated for each matrix by itself, in
// double; in f32 calls up to seven iterations before the last run in f32. F and B are never stored:
// memory is O(T + S) besides the m x m matrices. Weights may be negative; rows sum to about 1. Not
// causal: a landmark averages all of its segment. With landmarks = max(T, S) and 30 iterations it
// equals dense attention to 1e-6. See docs/attention/nystrom.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class NystromAttention : public Attention {
 public:
  explicit NystromAttention(AttentionConfig config);
  const char* name() const override { return "nystrom"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Traits traits() const override;
  // F W^+ B, plus the convolution as a band matrix.
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  Tensor conv_weight;  // [H, conv]; undefined without

 private:
  struct Core;
  Core core(const Tensor& q, const Tensor& k, const AttentionCall& call) const;
  int64_t single(DType dtype) const;  // how many iterations run in f32
  Tensor convolved(const Tensor& v, const AttentionCall& call) const;
  Tensor band(const std::vector<int64_t>& rows, int64_t keys) const;

  int64_t landmarks_, iterations_, conv_;
  double ridge_;
};

}  // namespace heed::nn
