// Convolutions, as PyTorch defines and names them (cross-correlations):
//
//   out[b, o, p] = bias[o] + sum_{c, k} weight[o, c, k] x[b, c, p stride + k dilation - padding]
//
//   Tensor y = conv2d(x, weight, bias, {.stride = {2}, .padding = {1}});
//
// x [B, C, L], [B, C, H, W] or [B, C, D, H, W]; weight [O, C / groups, K..]; bias [O] or undefined;
// out [B, O, ..], with floor((size + 2 padding - dilation (K - 1) - 1) / stride) + 1 along an axis.
// x is 0 outside; output channel o reads the input channels of its own group, o / (O / groups).
// f32, f64, bf16 (computed in f32). Derivatives of any order.
//
// ShapeError names what does not fit: ranks, channels, a kernel larger than the padded input, an
// option with neither one size nor one per axis, a padded row (of two last axes: plane) of 2^31
// elements or more.
// ValueError: a stride, dilation or group count below 1, a negative padding, or one out of range.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// One size for all axes, or one per axis.
struct ConvOptions {
  Shape stride = {1}, padding = {0}, dilation = {1};
  int64_t groups = 1;
};

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
              const ConvOptions& options = {});
Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
              const ConvOptions& options = {});
Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor(),
              const ConvOptions& options = {});

}  // namespace heed
