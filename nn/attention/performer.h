// Performer, FAVOR+ (Choromanski et al. 2021, arXiv 2009.14794): random features whose inner
// products estimate softmax's exp(scale q . k), so that sums over keys take the place of the map.
//
//   x' = sqrt(scale) x, scale = 1 / sqrt(D) by default;   w_1 .. w_m random rows, N(0, I)
//   positive    phi(x) = m^-1/2 exp(w_r . x' - |x'|^2 / 2)                      m features
//   hyperbolic  phi(x) = (2m)^-1/2 exp(+-w_r . x' - |x'|^2 / 2)                2 m features
//   E[phi(q) . phi(k)] = exp(scale q . k);  the normalised attention is a ratio, biased by O(1/m)
//
// Options: features m (256), kind positive|hyperbolic, orthogonal (true: rows in orthogonal blocks
// of D, with the norms of Gaussian vectors), redraw (1000: new rows every so many training steps;
// 0: never), eps (1e-6, in the denominator alone).
//
// The rows are the buffer `projection` [m, D], of the default dtype, saved with the weights, drawn
// from the default generator at construction and from on_step's key later; never inside forward.
//
//   auto a = make_attention("performer:features=128", {.heads = 4, .kv_heads = 4, .causal = true});
//   Tensor o = a->forward(q, k, v, {});   // [B, H, T, E]
//
// f32, f64, bf16 (computed in f32). Causal (in chunks), cross, padding, grouped heads and decoding
// with a state of fixed size are exact for the given rows; pair masks, biases and dropout on the
// weights are refused. See docs/attention/performer.md.
#pragma once

#include <heed/nn/attention/feature_attention.h>

namespace heed::nn {

// Random rows [m, dim] on the CPU: independent N(0, I), or orthogonal in blocks of `dim` rows, each
// with the norm of an independent Gaussian row (so each row alone is N(0, I) too).
Tensor random_projection(int64_t m, int64_t dim, bool orthogonal, RandomKey key,
                         DType dtype = DType::f32);

// How well the features approximate, averaged over tokens. Few effective features, or many below
// eps, mean that queries and keys have too large a norm for this m: normalise them (QK norm) or
// take more features.
struct FeatureDiagnosis {
  double below_eps = 0;           // fraction of features < eps, the largest of each token being 1
  double effective_features = 0;  // (sum phi)^2 / sum phi^2, from 1 to R
};

class PerformerAttention : public FeatureAttention {
 public:
  explicit PerformerAttention(AttentionConfig config);
  const char* name() const override { return "performer"; }
  Traits traits() const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;
  void on_step(int64_t step, RandomKey key) override;

  // phi(x) itself, unshifted: [.., D] -> [.., R]. Overflows where the stabilised form does not.
  Tensor raw_features(const Tensor& x, std::optional<float> scale = {}) const;
  FeatureDiagnosis diagnose(const Tensor& x, std::optional<float> scale = {}) const;
  const Tensor& projection() const { return projection_; }  // [m, D]
  void set_projection(const Tensor& rows);                  // copied in; ShapeError

 protected:
  Features query_features(const Tensor& q, const AttentionCall& call,
                          const Lengths& first) const override;
  Features key_features(const Tensor& k, const AttentionCall& call,
                        const Lengths& first) const override;
  int64_t features() const override { return hyperbolic_ ? 2 * rows_ : rows_; }
  bool has_levels() const override { return true; }
  std::shared_ptr<FeatureAttention> equal_copy() const override;
  int64_t map_flops(int64_t tokens, Pass pass) const override;
  int64_t map_activations(int64_t tokens) const override;

 private:
  // With these rows, drawing none.
  PerformerAttention(AttentionConfig config, const Tensor& rows);
  // w_r . (root x), and its negative where hyperbolic
  Tensor projected(const Tensor& x, double root) const;
  double scale_of(const std::optional<float>& scale) const;
  int64_t rows_, redraw_;
  bool hyperbolic_, orthogonal_;
  Tensor projection_;
};

}  // namespace heed::nn
