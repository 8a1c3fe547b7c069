// Additive attention (Bahdanau, Cho & Bengio 2015, arXiv 1409.0473), the attention of recurrent
// translation models:
//
//   score_ij = v . tanh(W q_i + U k_j)    O = softmax(scale score + bias) V    W, U in R^{A x D}
//
//   auto a = make_attention("additive:width=128", config);
//
// Options: width (A; default D). W and U serve all heads; each head has its own v [H, A]. The scale
// is 1 by default. Scores are computed pair by pair, so everything is exact: causal, cross, padding
// on either side, pair masks, biases, grouped heads, dropout on the weights. Time is O(T S A), with
// one tanh per pair and channel. Query rows are processed in blocks that backward recomputes, so
// memory is O((T + S) A). Decoding caches U k and V of each key. With v = 0 the result is the mean
// of the visible values. See docs/attention/additive.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class AdditiveAttention : public Attention {
 public:
  explicit AdditiveAttention(AttentionConfig config);
  const char* name() const override { return "additive"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity, DType dtype,
                                         Device device) const override;
  void absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  Tensor W, U;  // [A, D]
  Tensor v;     // [H, A]

 private:
  double default_scale() const override { return 1; }
  Tensor scores(const Tensor& a, const Tensor& b, double scale) const;

  int64_t width_;
};

}  // namespace heed::nn
