// Multiplicative attention (Luong, Pham & Manning 2015, arXiv 1508.04025), three scores:
//
//   dot      s_ij = q_i . k_j
//   general  s_ij = q_i . W k_j               W [D, D], common to all heads
//   concat   s_ij = v . tanh(W q_i + U k_j)   as in additive.h; [W U] is the paper's one matrix
//   O = softmax(scale s + bias) V
//
//   auto a = make_attention("luong:score=general", config);
//
// Options: score (dot), width (A of concat; default D). The scale is 1 by default, unlike dense
// attention's 1 / sqrt(D). All terms of a mask are exact; decoding keeps keys and values. score=dot
// is dense attention with scale 1. See docs/attention/luong.md.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

class LuongAttention : public Attention {
 public:
  explicit LuongAttention(AttentionConfig config);
  const char* name() const override { return "luong"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Traits traits() const override { return inner_->traits(); }
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

  Tensor weight;  // W of `general` [D, D]; undefined otherwise

 private:
  Tensor projected_queries(const Tensor& q, const AttentionCall& call) const;
  AttentionCall scaled(const AttentionCall& call) const;
  double default_scale() const override { return 1; }

  std::string score_;
  std::unique_ptr<Attention> inner_;  // dense or additive, which do the work
};

}  // namespace heed::nn
