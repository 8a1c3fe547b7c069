// Layer norm and RMS norm over the last axis: rows [rows, D]. f32, f64, bf16; all arrays contiguous
// and of one dtype, except mean and rstd, which are f32 for bf16. Undefined arrays mean: weight 1,
// bias 0, no residual, a result that is not wanted.
#pragma once

#include <heed/backends/kernel.h>

// s = x + residual; out = (s - mean) rstd weight + bias; rstd = 1 / sqrt(var + eps). `mean`
// undefined: RMS norm, with 0 for the mean. mean and rstd [rows] are results, and `sum` receives s.
// out may be x.
HEED_KERNEL(norm, void(const Array& x, const Array& residual, const Array& weight,
                       const Array& bias, double eps, const Array& sum, const Array& mean,
                       const Array& rstd, const Array& out));

// The number of pieces that the rows are cut into; depends on shape and thread count alone.
namespace heed::kernels {
int64_t norm_pieces(const Shape& shape);
}

// Gradients of the above. scratch: f64 [norm_pieces, 2, D], needed for dweight and dbias. dx may be
// the cotangent.
HEED_KERNEL(norm_backward, void(const Array& x, const Array& weight, const Array& mean,
                                const Array& rstd, const Array& cotangent, const Array& scratch,
                                const Array& dx, const Array& dweight, const Array& dbias));
