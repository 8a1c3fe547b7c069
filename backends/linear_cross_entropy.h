// Cross-entropy of x W^T + b without all logits in memory: the loss and, for a cotangent of 1, all
// gradients in one pass. x [rows, D], weight [V, D], bias [V] or undefined, target i64 [rows]; f32,
// f64, bf16; contiguous.
#pragma once

#include <heed/backends/kernel.h>

namespace heed::kernels {
// How the work is divided, which depends on shapes and thread count alone: `rows` of x at a time;
// classes in `pieces` of about equal size, each in blocks of `block`. `scratch`: bytes that the
// kernel needs to work in.
struct LinearCrossEntropyPlan {
  int64_t rows, block, pieces, scratch;
};
LinearCrossEntropyPlan linear_cross_entropy_plan(int64_t rows, int64_t size, int64_t classes,
                                                 DType dtype);
}  // namespace heed::kernels

// loss []: sum over the rows that are not ignored, or mean; f32 for bf16. scratch: u8, as planned
// for the loss's dtype. Gradients may be undefined (not wanted). Rows that are ignored, or whose
// target is outside [0, V) (as in cross_entropy.h), get dx = 0, and none of their values reaches a
// result.
HEED_KERNEL(linear_cross_entropy,
            void(const Array& x, const Array& weight, const Array& bias, const Array& target,
                 double smoothing, int64_t ignore_index, bool mean, const Array& scratch,
                 const Array& loss, const Array& dx, const Array& dweight, const Array& dbias));
