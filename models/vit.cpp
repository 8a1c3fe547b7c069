#include <heed/models/vit.h>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/init.h>
#include <heed/nn/position.h>

namespace heed::models {

namespace {
ViTConfig completed(ViTConfig c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("ViT: " + what);
  };
  require(c.image_height > 0 && c.image_width > 0 && c.channels > 0 && c.patch > 0,
          str("sizes > 0 expected, got pictures of ", c.channels, " x ", c.image_height, " x ",
              c.image_width, " and patches of ", c.patch));
  require(c.classes > 0, str("classes > 0 expected, got ", c.classes));
  require(c.pooling == "class_token" || c.pooling == "mean",
          str("pooling '", c.pooling, "': class_token or mean expected"));
  require(c.positions == "learned" || c.positions == "sinusoidal" || c.positions == "rope" ||
              c.positions == "none",
          str("positions '", c.positions, "': learned, sinusoidal, rope or none expected"));
  nn::TransformerLayerConfig& layer = c.stack.layer;
  int64_t heads = layer.attention.heads;
  require(layer.width > 0 && heads > 0 && c.stack.layers > 0 && layer.hidden >= 0,
          "width, heads, layers > 0 expected");
  require(layer.width % heads == 0 || layer.attention.head_dim > 0,
          str("width ", layer.width, " is not a multiple of ", heads, " heads"));
  require(!layer.attention.causal, "attention.causal: patches have no order to look back in");
  require(!layer.attention.rope, "attention.rope is for the model to set: positions = \"rope\"");
  double d = layer.dropout, a = layer.attention.dropout.value_or(0);
  require(d >= 0 && d < 1, str("0 <= dropout < 1 expected, got ", d));
  require(a >= 0 && a < 1, str("0 <= attention dropout < 1 expected, got ", a));
  if (layer.hidden == 0) layer.hidden = 4 * layer.width;
  layer.attention.max_length = nn::patch_grid(c.image_height, c.image_width, c.patch).cells() +
                               (c.pooling == "class_token" ? 1 : 0);
  return c;
}

nn::TransformerStackConfig stack(const ViTConfig& c, const nn::PatchGrid& grid) {
  nn::TransformerStackConfig s = c.stack;
  if (c.positions == "rope")
    s.layer.attention.rope = nn::RopeOptions{.base = c.rope_base,
                                             .grid = {grid.rows, grid.columns},
                                             .unrotated = c.pooling == "class_token" ? 1 : 0};
  return s;
}
}  // namespace

ViT::ViT(const ViTConfig& config)
    : config_(completed(config)),
      grid_(nn::patch_grid(config_.image_height, config_.image_width, config_.patch)),
      patches_(config_.channels, config_.patch, config_.stack.layer.width),
      dropout_(config_.stack.layer.dropout),
      encoder_(stack(config_, grid_)),
      head_(config_.stack.layer.width, config_.classes) {
  int64_t d = config_.stack.layer.width;
  if (config_.pooling == "class_token") class_token_ = zeros({1, 1, d});
  if (config_.positions == "learned") {
    positions_ = zeros({1, tokens(), d});
    nn::init::normal_(positions_, 0, 0.02);
  }
  if (config_.positions == "sinusoidal")
    sinusoids_ = nn::sinusoidal_grid(grid_.rows, grid_.columns, d, {.dtype = DType::f64});
  register_parameter("class_token", class_token_);
  register_module("patches", patches_);
  register_parameter("positions", positions_);
  register_buffer("sinusoids", sinusoids_, /*saved=*/false);
  register_module("dropout", dropout_);
  register_module("encoder", encoder_);
  register_module("head", head_);

  // As in torchvision: Glorot for the feed-forward networks, and a head that says nothing yet.
  encoder_.visit([](const std::string& path, nn::Module& m) {
    auto* linear = dynamic_cast<nn::Linear*>(&m);
    if (!linear || !(path.ends_with("linear1") || path.ends_with("linear2"))) return;
    nn::init::xavier_uniform_(linear->weight);
    if (linear->bias.defined()) nn::init::zeros_(linear->bias);
  });
  nn::init::zeros_(head_.weight);
  nn::init::zeros_(head_.bias);
}

Tensor ViT::embed(const Tensor& images) const {
  Tensor x = patches_.forward(images);                         // [B, N, d]
  if (sinusoids_.defined()) x = x + sinusoids_.to(x.dtype());  // [B, N, d]
  if (class_token_.defined()) {
    Tensor token = broadcast_to(class_token_, {x.dim(0), 1, x.dim(2)});  // [B, 1, d], a view
    x = concat({token, x}, 1);                                           // [B, T, d]
  }
  if (positions_.defined()) x = x + positions_;  // [B, T, d]
  return dropout_.forward(x);                    // [B, T, d]
}

Tensor ViT::states(const Tensor& images) const {
  auto scope = enter();
  Shape expected{config_.channels, config_.image_height, config_.image_width};
  if (images.rank() != 4 || !(Shape(images.shape().begin() + 1, 3) == expected))
    throw ShapeError(str("ViT: images [B, ", expected[0], ", ", expected[1], ", ", expected[2],
                         "] expected, got ", images.shape()));
  return encoder_.forward(embed(images));  // [B, T, d]
}

Tensor ViT::forward(const Tensor& images) const {
  Tensor x = states(images);                                    // [B, T, d]
  x = class_token_.defined() ? select(x, 1, 0) : mean(x, {1});  // [B, d]
  return head_.forward(x);                                      // [B, classes]
}

std::vector<nn::PyTorchName> ViT::pytorch_names() const {
  std::vector<nn::PyTorchName> names = {{"patches", "conv_proj"},
                                        {"positions", "encoder.pos_embedding"},
                                        {"encoder.norm", "encoder.ln"},
                                        {"head", "heads.head"}};
  for (int64_t i = 0; i < encoder_.size(); ++i) {
    std::string ours = str("encoder.layers.", i), theirs = str("encoder.layers.encoder_layer_", i);
    for (auto [our_part, their_part] :
         std::vector<std::pair<const char*, const char*>>{{".norm1", ".ln_1"},
                                                          {".self_attn", ".self_attention"},
                                                          {".norm2", ".ln_2"},
                                                          {".linear1", ".mlp.0"},
                                                          {".linear2", ".mlp.3"},
                                                          {".linear1", ".mlp.linear_1"},
                                                          {".linear2", ".mlp.linear_2"}})
      names.push_back({ours + our_part, theirs + their_part});
  }
  return names;
}

}  // namespace heed::models
