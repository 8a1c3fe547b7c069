// Convolutions and their gradients. x [B, C, D, H, W], weight [O, C / groups, KD, KH, KW], out
// [B, O, OD, OH, OW]: contiguous, of one dtype, f32, f64 or bf16 (through copies in f32). With two
// axes or one, the leading sizes are 1.
#pragma once

#include <heed/backends/kernel.h>

namespace heed {

// Of depth, height and width.
struct ConvGeometry {
  int64_t stride[3] = {1, 1, 1}, padding[3] = {0, 0, 0}, dilation[3] = {1, 1, 1};
  int64_t groups = 1;
};

}  // namespace heed

// out[b, o, p] = bias[o] + sum_{c, k} weight[o, c, k] x[b, c, p stride + k dilation - padding],
// with x = 0 outside; o and c of the same group. bias [O] may be undefined.
HEED_KERNEL(conv, void(const Array& x, const Array& weight, const Array& bias,
                       const ConvGeometry& geometry, const Array& out));
// The gradient by x of sum(cotangent * out).
HEED_KERNEL(conv_input_gradient, void(const Array& cotangent, const Array& weight,
                                      const ConvGeometry& geometry, const Array& dx));
// The gradient by weight.
HEED_KERNEL(conv_weight_gradient, void(const Array& x, const Array& cotangent,
                                       const ConvGeometry& geometry, const Array& dweight));
