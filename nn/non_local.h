// The non-local block (Wang et al. 2018, arXiv 1711.07971): each position of a map takes in all
// others, and the result is added to the map.
//
//   z = x + norm(W y),   y_i = sum_j f(theta(x_i), phi(x_j)) g(x_j) / C
//
//   nn::NonLocalBlock block(64);                                    // embedded Gaussian
//   nn::NonLocalBlock linear(64, {.attention = "efficient"});       // the same shapes, O(N) time
//   Tensor z = block.forward(x);  // [B, 64, H, W] -> [B, 64, H, W]
//
// x [B, C, ...spatial] with one, two or three spatial axes. Positions are tokens in row-major
// order; f and C are those of any variant of the catalogue that needs no causal order. `gaussian`,
// `embedded_gaussian`, `dot_product` and `concatenation` are the paper's. theta, phi, g and W act
// on the channels of each position (1x1 convolutions); a variant with raw_qk has neither theta nor
// phi, and its heads share out the channels of x; one with shared_qk has no phi.
//
// The block starts as the identity: the batch norm after W starts with weight 0, and without it W
// starts at 0. f32, f64, bf16.
//
// ValueError: heads do not divide the inner channels (raw_qk: the channels), axes is not 1 to 3, or
// the variant cannot do what is asked, with its reason. ShapeError: another number of channels, no
// or more than three spatial axes.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/nn/attention/catalog.h>
#include <heed/nn/batch_norm.h>
#include <heed/nn/linear.h>
#include <heed/nn/pytorch_names.h>

namespace heed::nn {

struct NonLocalConfig {
  std::string attention = "embedded_gaussian";  // spec string: name:key=value,..
  int64_t heads = 1;
  int64_t inner_channels = 0;  // of theta, phi and g; 0: half of the channels, at least 1
  // Keys and values are the largest over windows of this size (floor: what an odd size leaves over
  // is dropped); over the last two axes only if there are three. A window never exceeds its axis.
  int64_t subsample = 1;
  bool batch_norm = true;
  bool bias = true;
  int64_t max_length = 0;  // positions, for variants that need to know; 0: not known
  // Of the scores, where the variant has one; empty: the variant's own.
  std::optional<float> scale = 1.0f;
  // Of the map. The block works on one to three alike; weights for PyTorch are written for so many.
  int64_t axes = 2;
};

class NonLocalBlock : public Module, public PyTorchTwin {
 public:
  explicit NonLocalBlock(int64_t channels, const NonLocalConfig& config = {},
                         SharedParameters* shared = nullptr);

  Tensor forward(const Tensor& x) const;
  // The map that is applied, for some positions (row-major numbers): [B, heads, R, S], S the number
  // of positions after sub-sampling.
  Tensor weights(const Tensor& x, const std::vector<int64_t>& positions) const;
  // The size of the keys' map, whose positions are the S: sizes of x's map -> sub-sampled.
  Shape key_extents(const Shape& map) const;
  const Attention& attention() const { return *attention_; }
  std::string type_name() const override;
  // The usual module there has convolutions theta, phi, g (phi.0 and g.0 before a pooling layer),
  // W.0 with the batch norm W.1, or W without, and concat_project.0 of the concatenation.
  std::vector<PyTorchName> pytorch_names() const override;

  std::unique_ptr<Linear> theta, phi;  // [inner, C]; empty with raw_qk, phi with shared_qk too
  Linear g, w;                         // [inner, C], [C, inner]
  std::unique_ptr<BatchNorm> norm;     // empty without batch_norm

 private:
  struct Heads {
    Tensor q, k, v;  // [B, H, N, D], [B, H, S, D], [B, H, S, E]
  };
  NonLocalBlock(int64_t channels, const NonLocalConfig& completed, int64_t inner,
                SharedParameters* shared);
  void check(const Tensor& x) const;
  Heads project(const Tensor& x, bool values) const;
  Tensor sampled(const Linear* projection, const Tensor& x) const;  // [B, H, S, channels / H]
  AttentionCall make_call(const Heads& heads) const;

  NonLocalConfig config_;
  int64_t channels_;
  std::unique_ptr<Attention> attention_;
};

}  // namespace heed::nn
