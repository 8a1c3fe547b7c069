// Linear attention (Katharopoulos et al. 2020): softmax's exp(q . k) is *replaced* by an inner
// product of features, so that time and memory are linear in the length.
//
//   o_i = sum_j phi(q_i) . phi(k_j) v_j / (sum_j phi(q_i) . phi(k_j) + eps)
//
//   map        phi(x)                                         features
//   elu        elu(x) + 1                                     D
//   relu       max(x, 0)                                      D
//   relu2      max(x, 0)^2                                    D
//   exp        exp(x), stabilised as in feature_attention.h   D
//   taylor2    phi(q) . phi(k) = 1 + q.k + (q.k)^2 / 2        1 + D + D^2
//   cosformer  max(x, 0) [cos, sin](pi i / 2 M)               2 D      (Qin et al. 2022)
//
// Options: map (elu), eps (1e-6), max_length: cosformer's M (AttentionConfig::max_length when not
// given), which no sequence may exceed. If M followed the length of each call, a prefix would get
// another result than it has in the whole sequence. A call's scale multiplies the queries before
// the map (1 by default).
//
//   auto a = make_attention("linear:map=relu2", {.heads = 4, .kv_heads = 4, .causal = true});
//   Tensor o = a->forward(q, k, v, {});   // [B, H, T, E]
//
// f32, f64, bf16 (computed in f32). Causal (in chunks), cross (not cosformer), padding on both
// sides, grouped heads and decoding with a state of fixed size are exact; pair masks, biases and
// dropout on the weights are refused. See docs/attention/linear.md.
#pragma once

#include <heed/nn/attention/feature_attention.h>

namespace heed::nn {

class LinearAttention : public FeatureAttention {
 public:
  explicit LinearAttention(AttentionConfig config);
  const char* name() const override { return "linear"; }
  Traits traits() const override;

 protected:
  double default_scale() const override { return 1; }
  Features query_features(const Tensor& q, const AttentionCall& call,
                          const Lengths& first) const override;
  Features key_features(const Tensor& k, const AttentionCall& call,
                        const Lengths& first) const override;
  int64_t features() const override;
  bool has_levels() const override { return map_ == Map::exp; }
  std::shared_ptr<FeatureAttention> equal_copy() const override;
  int64_t map_activations(int64_t tokens) const override;

 private:
  enum class Map { elu, relu, relu2, exp, taylor2, cosformer };
  Features map(const Tensor& x, const Lengths& first) const;
  Tensor cosformer_features(const Tensor& x, const Lengths& first) const;
  Map map_;
  int64_t max_length_ = 0;
};

}  // namespace heed::nn
