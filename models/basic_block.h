// The basic block of residual networks (He et al. 2016, arXiv 1512.03385), torchvision's names:
//
//   y = relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x))
//
// Both kernels have size 3 along each axis; conv1 and the shortcut take the stride. With a
// time_kernel of 1 clips are looked at frame by frame: kernels and strides along time are 1. The
// shortcut is x itself where neither size nor channels change, otherwise a convolution of size 1
// and a batch norm: downsample.0 and downsample.1.
#pragma once

#include <memory>

#include <heed/nn/batch_norm.h>
#include <heed/nn/conv.h>

namespace heed::models {

// x [B, in, ..] with 2 or 3 axes -> [B, out, ..]; an axis of n becomes ceil(n / stride).
class BasicBlock : public nn::Module {
 public:
  BasicBlock(int64_t axes, int64_t in, int64_t out, int64_t stride = 1, int64_t time_kernel = 3);
  Tensor forward(const Tensor& x) const;
  std::string type_name() const override;

 private:
  int64_t stride_;
  std::unique_ptr<nn::Conv> conv1_, conv2_;
  std::unique_ptr<nn::BatchNorm> bn1_, bn2_;
  std::unique_ptr<nn::Conv> downsample_;  // or empty
  std::unique_ptr<nn::BatchNorm> downsample_norm_;
};

// Conv2d or Conv3d with the same kernel and stride along each axis, padding kernel / 2 and no bias;
// with a time_kernel of 1 all three are those of a Conv2d for each frame. Weights are normal with
// variance 2 / fan_out (He et al. 2015, as torchvision's ResNet). And its norm.
// ValueError: axes other than 2 and 3.
std::unique_ptr<nn::Conv> make_conv(int64_t axes, int64_t in, int64_t out, int64_t kernel,
                                    int64_t stride = 1, int64_t time_kernel = 3);
std::unique_ptr<nn::BatchNorm> make_batch_norm(int64_t axes, int64_t channels);

}  // namespace heed::models
