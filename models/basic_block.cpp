#include <heed/models/basic_block.h>

#include <cmath>

#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::models {

namespace {
void check_axes(int64_t axes) {
  if (axes != 2 && axes != 3)
    throw ValueError(
        str("ResNet: 2 axes (pictures) or 3 (clips: frames, rows, columns) expected, got ", axes));
}
}  // namespace

std::unique_ptr<nn::Conv> make_conv(int64_t axes, int64_t in, int64_t out, int64_t kernel,
                                    int64_t stride, int64_t time_kernel) {
  check_axes(axes);
  nn::ConvSettings settings{.stride = {stride}, .padding = {kernel / 2}, .bias = false};
  Shape size = {kernel};
  if (axes == 3 && time_kernel == 1) {
    size = {1, kernel, kernel};
    settings.stride = {1, stride, stride};
    settings.padding = {0, kernel / 2, kernel / 2};
  }
  std::unique_ptr<nn::Conv> conv;
  if (axes == 2) conv = std::make_unique<nn::Conv2d>(in, out, size, settings);
  else conv = std::make_unique<nn::Conv3d>(in, out, size, settings);
  const auto fan_out = static_cast<double>(nn::init::fans(conv->weight.shape()).out);
  nn::init::normal_(conv->weight, 0, std::sqrt(2 / fan_out));
  return conv;
}

std::unique_ptr<nn::BatchNorm> make_batch_norm(int64_t axes, int64_t channels) {
  check_axes(axes);
  if (axes == 2) return std::make_unique<nn::BatchNorm2d>(channels);
  return std::make_unique<nn::BatchNorm3d>(channels);
}

BasicBlock::BasicBlock(int64_t axes, int64_t in, int64_t out, int64_t stride, int64_t time_kernel)
    : stride_(stride),
      conv1_(make_conv(axes, in, out, 3, stride, time_kernel)),
      conv2_(make_conv(axes, out, out, 3, 1, time_kernel)),
      bn1_(make_batch_norm(axes, out)),
      bn2_(make_batch_norm(axes, out)) {
  register_module("conv1", *conv1_);
  register_module("bn1", *bn1_);
  register_module("conv2", *conv2_);
  register_module("bn2", *bn2_);
  if (stride == 1 && in == out) return;
  downsample_ = make_conv(axes, in, out, 1, stride, time_kernel);
  downsample_norm_ = make_batch_norm(axes, out);
  register_module("downsample.0", *downsample_);
  register_module("downsample.1", *downsample_norm_);
}

Tensor BasicBlock::forward(const Tensor& x) const {
  auto scope = enter();
  Tensor shortcut = x;
  if (downsample_) shortcut = downsample_norm_->forward(downsample_->forward(x));  // [B, out, ..]
  Tensor y = bn1_->forward_relu(conv1_->forward(x));                               // [B, out, ..]
  return bn2_->forward_add_relu(conv2_->forward(y), shortcut);                     // [B, out, ..]
}

std::string BasicBlock::type_name() const {
  const std::string stride = stride_ > 1 ? str(", stride ", stride_) : "";
  return str("BasicBlock(", conv1_->in(), ", ", conv1_->out(), stride, ")");
}

}  // namespace heed::models
