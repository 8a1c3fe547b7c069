// Group normalization (Wu & He 2018).
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// x [B, C, ...spatial], whose C channels are `groups` groups of neighbours; each group of each
// sample has its own mean and variance (correction 0), over its channels and space:
//
//   y = (x - mean) / sqrt(var + eps) * weight + bias
//
// weight, bias: [C] of x's dtype, or undefined. f32, f64, bf16, which is computed in f32. A group
// of one value gives the bias. groups = 1 is layer norm over all but the batch, groups = C instance
// norm. ShapeError: x of rank below 2, vectors that are not [C]. ValueError: groups does not divide
// C, eps < 0.
Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps = 1e-5);

Tensor group_norm_reference(const Tensor& x, int64_t groups, const Tensor& weight,
                            const Tensor& bias, double eps = 1e-5);

}  // namespace heed
