#include <heed/models/resnet.h>

#include <heed/autograd/ops/pool.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/recompute.h>
#include <heed/core/error.h>

namespace heed::models {

namespace {
bool all_positive(const std::vector<int64_t>& numbers) {
  for (int64_t n : numbers)
    if (n < 1) return false;
  return true;
}

int64_t total(const std::vector<int64_t>& blocks) {
  int64_t sum = 0;
  for (int64_t n : blocks) sum += n;
  return sum;
}

// {H, W} or {frames, H, W}; all 0 where the size is not known.
Shape picture_of(const ResNetConfig& c) {
  if (c.axes == 2) return {c.image_height, c.image_width};
  return {c.frames, c.image_height, c.image_width};
}

const ResNetConfig& checked(const ResNetConfig& c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("ResNet: " + what);
  };
  require(c.axes == 2 || c.axes == 3,
          str("2 axes (pictures) or 3 (clips: frames, rows, columns) expected, got ", c.axes));
  require(c.channels > 0 && c.width > 0,
          str("channels and width > 0 expected, got ", c.channels, " and ", c.width));
  require(c.classes > 0, str("classes > 0 expected, got ", c.classes));
  require(!c.blocks.empty() && all_positive(c.blocks),
          "blocks: at least one stage, of at least one block each, expected");
  require(c.blocks.size() <= 16, str("at most 16 stages expected, got ", c.blocks.size()));
  require(c.strides.size() == c.blocks.size() && all_positive(c.strides),
          str("strides: one for each of the ", c.blocks.size(), " stages expected, each > 0, got ",
              c.strides.size()));
  require(c.stem == "cifar" || c.stem == "imagenet",
          str("stem '", c.stem, "': cifar or imagenet expected"));
  require(c.stem == "cifar" || c.axes == 2,
          "stem imagenet is for pictures; cifar is for clips too");
  require(c.slots >= 0 && c.slots <= total(c.blocks),
          str("0 to ", total(c.blocks), " slots expected, one a residual block, got ", c.slots));
  require(c.non_local.max_length == 0,
          "non_local.max_length is for the model to set: image_height, image_width, frames");
  require(c.axes == 3 || c.frames == 0, "frames are for clips (axes = 3)");
  require(c.time_kernel == 3 || (c.time_kernel == 1 && c.axes == 3),
          str("time_kernel 3, or 1 for clips, expected, got ", c.time_kernel));
  int64_t known = 0;
  for (int64_t size : picture_of(c)) known += size > 0 ? 1 : size < 0 ? -c.axes : 0;
  require(
      known == 0 || known == c.axes,
      str("the size of the pictures: all sizes > 0 or all 0 (any) expected, got ", picture_of(c)));
  return c;
}

// The size that a convolution or pooling of odd size, padded by its half, leaves.
Shape strided(Shape extents, int64_t stride) {
  for (int i = 0; i < extents.rank(); ++i) extents[i] = (extents[i] + stride - 1) / stride;
  return extents;
}
}  // namespace

ResNet::ResNet(const ResNetConfig& config)
    : config_(checked(config)), fc_(config.width << (config.blocks.size() - 1), config.classes) {
  const bool imagenet = config_.stem == "imagenet";
  const int64_t axes = config_.axes;
  conv1_ = imagenet ? make_conv(axes, config_.channels, config_.width, 7, 2)
                    : make_conv(axes, config_.channels, config_.width, 3, 1, config_.time_kernel);
  bn1_ = make_batch_norm(axes, config_.width);
  std::vector<std::string> names;
  std::vector<int64_t> channels;  // after each block
  int64_t in = config_.width;
  for (size_t stage = 0; stage < config_.blocks.size(); ++stage) {
    const int64_t out = config_.width << stage;
    for (int64_t i = 0; i < config_.blocks[stage]; ++i) {
      const int64_t stride = i == 0 ? config_.strides[stage] : 1;
      blocks_.push_back(std::make_unique<BasicBlock>(axes, in, out, stride, config_.time_kernel));
      names.push_back(str("layer", stage + 1, ".", i));
      channels.push_back(in = out);
    }
  }
  // Last, so that a seed gives the rest the same numbers with slots and without.
  const Shape picture = picture_of(config_);
  for (int64_t i = 0; i < config_.slots; ++i) {
    nn::NonLocalConfig c = config_.non_local;
    c.axes = axes;
    c.max_length = slot_extents(i, picture).numel();
    const int64_t width = channels[channels.size() - 1 - static_cast<size_t>(i)];
    slots_.push_back(std::make_unique<nn::NonLocalBlock>(width, c, &shared_));
  }

  register_module("conv1", *conv1_);
  register_module("bn1", *bn1_);
  for (size_t i = 0; i < blocks_.size(); ++i) {
    register_module(names[i], *blocks_[i]);
    const size_t slot = blocks_.size() - 1 - i;
    if (slot < slots_.size()) register_module(str("slots.", slot), *slots_[slot]);
  }
  register_module("fc", fc_);
}

Shape ResNet::slot_extents(int64_t i, const Shape& picture) const {
  if (i < 0 || i >= config_.slots) throw ValueError(str("ResNet: slot ", i, " of ", config_.slots));
  if (picture.rank() != config_.axes)
    throw ShapeError(str("ResNet: a size of ", config_.axes, " axes expected, got ", picture));
  Shape extents = picture;
  if (config_.stem == "imagenet") extents = strided(strided(extents, 2), 2);
  const bool all_frames = config_.time_kernel == 1;
  int64_t block = total(config_.blocks) - 1 - i;
  for (size_t stage = 0; stage < config_.blocks.size() && block >= 0; ++stage) {
    extents = strided(extents, config_.strides[stage]);
    if (all_frames) extents[0] = picture[0];
    block -= config_.blocks[stage];
  }
  return extents;
}

Tensor ResNet::run(const Tensor& images, int64_t until_slot) const {
  if (images.rank() != config_.axes + 2 || images.dim(1) != config_.channels)
    throw ShapeError(str("ResNet: ", config_.axes == 2 ? "images" : "clips", " [B, ",
                         config_.channels, config_.axes == 2 ? ", H, W]" : ", frames, H, W]",
                         " expected, got ", images.shape()));
  auto maybe_recomputed = [&](const auto& module, const Tensor& x) {
    const auto* m = &module;
    auto f = [m](const std::vector<Tensor>& in) { return m->forward(in[0]); };
    return config_.recompute && grad_enabled() ? recompute(f, {x}) : f({x});
  };
  Tensor x = bn1_->forward_relu(conv1_->forward(images));  // [B, width, ..]
  if (config_.stem == "imagenet") x = max_pool2d(x, {3}, {.stride = {2}, .padding = {1}});
  const auto count = static_cast<int64_t>(blocks_.size());
  for (int64_t i = 0; i < count; ++i) {
    x = maybe_recomputed(*blocks_[static_cast<size_t>(i)], x);  // [B, width of the stage, ..]
    const int64_t at = count - 1 - i;
    if (at >= slots()) continue;
    if (at == until_slot) return x;
    x = maybe_recomputed(*slots_[static_cast<size_t>(at)], x);  // the same shape
  }
  return x;
}

Tensor ResNet::features(const Tensor& images) const {
  auto scope = enter();
  return run(images, -1);
}

Tensor ResNet::forward(const Tensor& images) const {
  auto scope = enter();
  Tensor x = run(images, -1);                                     // [B, C, ..]
  x = mean(x, config_.axes == 2 ? Shape{2, 3} : Shape{2, 3, 4});  // [B, C]
  return fc_.forward(x);                                          // [B, classes]
}

const nn::NonLocalBlock& ResNet::slot(int64_t i) const {
  if (i < 0 || i >= slots()) throw ValueError(str("ResNet: slot ", i, " of ", slots()));
  return *slots_[static_cast<size_t>(i)];
}

Tensor ResNet::slot_input(const Tensor& images, int64_t i) const {
  auto scope = enter();
  slot(i);
  return run(images, i);
}

}  // namespace heed::models
