// The vision transformer (Dosovitskiy et al. 2021, arXiv 2010.11929) for classes of pictures: one
// token a patch, a class token in front, positions, pre-norm encoder layers with gelu, a linear
// head. Its attention is any variant of the catalogue.
//
//   models::ViTConfig config = models::vit_preset("nano");
//   config.image_height = config.image_width = 28;
//   config.channels = 1, config.patch = 4, config.classes = 10;
//   models::ViT model(config);
//   Tensor loss = cross_entropy(model.forward(images), labels);  // [B, 1, 28, 28], i64 [B]
//
// train::load_pytorch reads the weights of torchvision's VisionTransformer (vit_b_16, ..).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <heed/nn/patch_embedding.h>
#include <heed/nn/pytorch_names.h>
#include <heed/nn/transformer.h>

namespace heed::models {

struct ViTConfig {
  int64_t image_height = 224, image_width = 224;
  int64_t channels = 3;
  int64_t patch = 16;  // side of a patch; divides both sides of the picture
  int64_t classes = 0;
  // What the head reads: class_token, or mean (of all patches; there is no class token then).
  std::string pooling = "class_token";
  // learned: a vector for each token; sinusoidal: fixed, half the channels by row, half by column,
  // nothing for the class token; rope: queries and keys turn by row and column (nn/rope.h), the
  // class token's do not; none.
  std::string positions = "learned";
  double rope_base = 100;
  // hidden 0 is 4 x width; dropout is also that of the tokens. The model sets attention.max_length
  // and rope.
  nn::TransformerStackConfig stack{.layer = {.width = 768,
                                             .hidden = 0,
                                             .dropout = 0,
                                             .activation = "gelu",
                                             .norm_first = true,
                                             .norm_eps = 1e-6,
                                             .attention = {.heads = 12}},
                                   .layers = 12};
};

// nano (width 64, 4 layers: 0.2 M parameters), and the sizes of the papers, tiny, small, base,
// large (5.7 M, 22 M, 86 M and 304 M for patches of 16); width, heads and layers are its sizes.
ViTConfig vit_preset(const std::string& name);
void set_preset_sizes(ViTConfig& config, const std::string& name);
const std::vector<std::string>& vit_presets();
// ValueError: positions in the stack and other settings that a config.json does not keep.
std::string to_json(const ViTConfig& config);
ViTConfig vit_from_json(std::string_view json);  // ValueError

class ViT : public nn::Module, public nn::PyTorchTwin {
 public:
  // ValueError: sizes without meaning, unknown names. ShapeError: a picture that does not divide
  // into patches.
  explicit ViT(const ViTConfig& config);

  // [B, C, H, W] -> logits [B, classes]; ShapeError for pictures of another size.
  Tensor forward(const Tensor& images) const;
  Tensor states(const Tensor& images) const;  // of all tokens, after the last norm: [B, T, d]

  // Tokens are the class token, where there is one, then the patches, row by row.
  const nn::PatchGrid& grid() const { return grid_; }
  int64_t first_patch() const { return class_token_.defined() ? 1 : 0; }
  int64_t tokens() const { return first_patch() + grid_.cells(); }

  const ViTConfig& config() const { return config_; }
  const nn::TransformerEncoder& encoder() const { return encoder_; }
  std::string type_name() const override { return "ViT"; }
  // torchvision's VisionTransformer.
  std::vector<nn::PyTorchName> pytorch_names() const override;

 private:
  Tensor embed(const Tensor& images) const;  // [B, C, H, W] -> [B, T, d]

  ViTConfig config_;
  nn::PatchGrid grid_;
  nn::PatchEmbedding patches_;
  Tensor class_token_;  // [1, 1, d]; undefined without
  Tensor positions_;    // [1, T, d], learned; undefined without
  Tensor sinusoids_;    // f64 [cells, d]; undefined without
  nn::Dropout dropout_;
  nn::TransformerEncoder encoder_;
  nn::Linear head_;
};

}  // namespace heed::models
