// Group norm of x [B, C, S], contiguous, in G groups of C / G channels: each group of a sample.
// f32, f64, bf16; weight and bias [C] of x's dtype; `statistics` f64 [2, B, G] (mean and
// 1 / sqrt(var + eps)). Undefined arrays mean: weight 1, bias 0, a result that is not wanted. No
// output may be an input.
#pragma once

#include <heed/backends/kernel.h>

// out = (x - mean) rstd weight + bias.
HEED_KERNEL(group_norm, void(const Array& x, const Array& weight, const Array& bias, double eps,
                             const Array& statistics, const Array& out));
HEED_KERNEL(group_norm_backward, void(const Array& x, const Array& weight, const Array& statistics,
                                      const Array& cotangent, const Array& dx, const Array& dweight,
                                      const Array& dbias));
