// Convolution layers, as PyTorch has them; formula and shapes in autograd/ops/conv.h.
//
//   nn::Conv2d conv(3, 16, {3}, {.padding = {1}});
//   Tensor y = conv.forward(x);  // [B, 3, H, W] -> [B, 16, H, W]
//
// A kernel, like the options, has one size for all axes or one per axis. ValueError unless
// channels, kernel and groups are positive and groups divides both channel counts.
#pragma once

#include <heed/autograd/ops/conv.h>
#include <heed/nn/module.h>

namespace heed::nn {

struct ConvSettings {
  Shape stride = {1}, padding = {0}, dilation = {1};
  int64_t groups = 1;
  bool bias = true;
};

// weight [out, in / groups, kernel..], bias [out]; both uniform in +-1 / sqrt(fan_in), as in
// PyTorch.
class Conv : public Module {
 public:
  Tensor forward(const Tensor& x) const;
  std::string type_name() const override;
  int64_t in() const { return weight.dim(1) * options_.groups; }
  int64_t out() const { return weight.dim(0); }

  Tensor weight;
  Tensor bias;  // or undefined

 protected:
  Conv(int axes, int64_t in, int64_t out, const Shape& kernel, const ConvSettings& settings);

 private:
  int axes_;
  ConvOptions options_;
};

class Conv1d : public Conv {  // x [B, C, L]
 public:
  Conv1d(int64_t in, int64_t out, const Shape& kernel, const ConvSettings& settings = {})
      : Conv(1, in, out, kernel, settings) {}
};

class Conv2d : public Conv {  // x [B, C, H, W]
 public:
  Conv2d(int64_t in, int64_t out, const Shape& kernel, const ConvSettings& settings = {})
      : Conv(2, in, out, kernel, settings) {}
};

class Conv3d : public Conv {  // x [B, C, D, H, W]
 public:
  Conv3d(int64_t in, int64_t out, const Shape& kernel, const ConvSettings& settings = {})
      : Conv(3, in, out, kernel, settings) {}
};

}  // namespace heed::nn
