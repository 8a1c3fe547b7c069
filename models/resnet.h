// Residual networks (He et al. 2016, arXiv 1512.03385) of basic blocks for classes of pictures or
// of short clips, with places for attention: a slot after a residual block holds a non-local block
// around any variant of the catalogue that its traits allow there.
//
//   models::ResNetConfig config = models::resnet_preset("resnet20");
//   config.channels = 1, config.classes = 10;
//   config.slots = 3, config.non_local.attention = "efficient";
//   models::ResNet model(config);
//   Tensor loss = cross_entropy(model.forward(images), labels);  // [B, 1, H, W], i64 [B]
//
// Parameters have torchvision's names (layer1.0.conv1.weight, .., fc.bias), so that
// train::load_pytorch reads the weights of its resnet18 and resnet34; those of the slots are
// slots.0, .., which {.skip = {"slots"}} leaves as they are. Pictures may have any size.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <heed/models/basic_block.h>
#include <heed/nn/linear.h>
#include <heed/nn/non_local.h>

namespace heed::models {

struct ResNetConfig {
  int64_t axes = 2;  // 2: pictures [B, C, H, W]; 3: clips [B, C, frames, H, W]
  int64_t channels = 3;
  int64_t classes = 0;
  std::vector<int64_t> blocks = {3, 3, 3};  // residual blocks of each stage
  int64_t width = 16;  // channels of the first stage; each next has twice as many
  // Of each stage's first block, along every axis; all 1 keep the size of the map.
  std::vector<int64_t> strides = {1, 2, 2};
  // cifar: a convolution of size 3; imagenet: one of size 7 and stride 2, and the largest of each
  // 3 x 3 at stride 2 (pictures only). Batch norm and ReLU follow the convolution.
  std::string stem = "cifar";
  // Slots are filled from the deepest: slot 0 follows the last residual block, slot 1 the one
  // before. At most one a residual block.
  int64_t slots = 0;
  nn::NonLocalConfig non_local{};  // of each slot; the model sets axes and max_length
  // The size of the pictures, which only variants with a longest length need (linformer); 0: any.
  int64_t image_height = 0, image_width = 0;
  int64_t frames = 0;  // of clips
  // Of clips. 3: convolutions and strides go along time as along the other axes. 1: each frame is
  // looked at alone and none is left out, so that only slots mix frames (C2D of Wang et al. 2018,
  // arXiv 1711.07971).
  int64_t time_kernel = 3;
  bool recompute = false;  // each block in backward, to keep less memory (autograd/recompute.h)
};

// resnet20 (He et al. 2016, section 4.2: width 16, 3 x 3 blocks, 0.27 M parameters), resnet18
// (torchvision's: width 64, 2 blocks in 4 stages, stem imagenet, 11.7 M for 1000 classes) and
// resnet3d (clips: width 16, 1 block in 3 stages, 0.23 M). A preset sets axes, blocks, width,
// strides and stem.
ResNetConfig resnet_preset(const std::string& name);
void set_preset_sizes(ResNetConfig& config, const std::string& name);
const std::vector<std::string>& resnet_presets();
std::string to_json(const ResNetConfig& config);       // ValueError: a scale, which no file keeps
ResNetConfig resnet_from_json(std::string_view json);  // ValueError

class ResNet : public nn::Module {
 public:
  // ValueError: sizes without meaning, unknown names, an attention that cannot do what is asked.
  explicit ResNet(const ResNetConfig& config);

  // [B, C, H, W] or [B, C, frames, H, W] -> logits [B, classes]; ShapeError for another rank or
  // other channels. ValueError in training where a channel has only one value: a batch of one whose
  // last map is a single position.
  Tensor forward(const Tensor& images) const;
  Tensor features(const Tensor& images) const;  // the last map, [B, width * 2^(stages - 1), ..]

  int64_t slots() const { return static_cast<int64_t>(slots_.size()); }
  const nn::NonLocalBlock& slot(int64_t i) const;            // ValueError: there is no such slot
  Tensor slot_input(const Tensor& images, int64_t i) const;  // the map that slot i gets
  // Its size, for pictures {H, W} or clips {frames, H, W}.
  Shape slot_extents(int64_t i, const Shape& picture) const;

  const ResNetConfig& config() const { return config_; }
  std::string type_name() const override { return "ResNet"; }

 private:
  Tensor run(const Tensor& images, int64_t until_slot) const;  // -1: to the end

  ResNetConfig config_;
  nn::SharedParameters shared_;  // of the slots' attention
  std::unique_ptr<nn::Conv> conv1_;
  std::unique_ptr<nn::BatchNorm> bn1_;
  std::vector<std::unique_ptr<BasicBlock>> blocks_;  // of all stages
  std::vector<std::unique_ptr<nn::NonLocalBlock>> slots_;
  nn::Linear fc_;
};

}  // namespace heed::models
