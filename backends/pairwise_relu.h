// y_i = sum_j relu(a_i + b_j) v_j by sorting (autograd/ops/pairwise_relu.h). f32, f64, and bf16
// through copies in f32; sums over keys and queries in double. No result may overlap an operand.
#pragma once

#include <heed/backends/kernel.h>

// a [B, H, T] and b [B, H, S] contiguous; v [B, Hkv, S, E] and out [B, H, T, E] with a contiguous
// last axis.
HEED_KERNEL(pairwise_relu, void(const Array& a, const Array& b, const Array& v, const Array& out));
// cotangent like out; da and db contiguous like a and b; dv like v. All three are overwritten.
HEED_KERNEL(pairwise_relu_backward,
            void(const Array& a, const Array& b, const Array& v, const Array& cotangent,
                 const Array& da, const Array& db, const Array& dv));
