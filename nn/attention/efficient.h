// Efficient attention (Shen et al. 2021, arXiv 1812.01243): queries and keys are normalised
// separately, so keys can be multiplied with values first and no T x S map is needed.
//
//   O = rho_q(Q) (rho_k(K)^T V)                          the context rho_k(K)^T V is [D, E]
//   norm=softmax  rho_q = softmax over the channels of each query,
//                 rho_k = softmax over the positions of each channel
//   norm=scaling  rho_q = Q / sqrt(n), rho_k = K / sqrt(n), n = number of visible keys
//
// Causal is the exact restriction to prefixes: the softmax over positions runs over the keys up to
// i, each channel with a denominator and a running maximum of its own,
//
//   o_i = sum_f rho_q(q_i)_f (sum_{j<=i} exp(k_jf - m_if) v_j) / (sum_{j<=i} exp(k_jf - m_if))
//
// and n counts the visible keys up to i; so the last row is that of the whole sequence, and a
// prefix gives what the whole gives.
//
// Options: norm softmax|scaling (softmax). A call's scale multiplies the queries (1 by default;
// there is no 1 / sqrt(D) here).
//
//   auto a = make_attention("efficient", {.heads = 8, .kv_heads = 8, .head_dim = 16,
//                                         .value_dim = 16});
//   Tensor o = a->forward(q, k, v, {});   // [B, H, T, E]
//
// f32, f64, bf16 (computed in f32). Cross, padding on both sides, grouped heads and decoding with a
// state of D (E + 2) numbers per head are exact; pair masks, biases and dropout on the weights are
// refused. See docs/attention/efficient.md.
#pragma once

#include <heed/nn/attention/fixed_state.h>
#include <heed/nn/attention/prefix.h>

namespace heed::nn {

class EfficientAttention : public PrefixAttention {
 public:
  explicit EfficientAttention(AttentionConfig config);
  const char* name() const override { return "efficient"; }
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
  double default_scale() const override { return 1; }
  KeySums sums_of(const Tensor& k, const Tensor& v, const AttentionCall& call,
                  const Lengths& first) const override;

 private:
  struct Keys {
    Tensor k;       // [B, Hkv, S, D], at padding lowest (softmax) or 0 (scaling)
    Tensor values;  // [B, Hkv, S, E], 0 at padding; softmax: one more column, 1 at valid keys
  };
  Tensor queries(const Tensor& q, const AttentionCall& call) const;  // rho_q without 1 / sqrt(n)
  Keys prepare(const Tensor& k, const Tensor& v, const Mask& mask) const;
  KeySums sum_keys(const Keys& keys) const;
  Tensor apply(const Tensor& rho, const KeySums& sums) const;
  Tensor causal(const Tensor& rho, const Keys& keys, const KeySums* before, int64_t offset) const;
  Tensor causal_rows(const Tensor& rho, const Keys& keys, const Lengths& offset) const;
  Tensor map_rows(const Tensor& rho, const Tensor& k, const Tensor& visible) const;
  bool softmax_;
};

}  // namespace heed::nn
