// Matrix products through BLAS and, where BLAS is slow (many small ones), a kernel of our own.
#pragma once

#include <heed/backends/kernel.h>

// out = a b + beta out, beta 0 or 1. a [.., M, K], b [.., K, N], out [.., M, N] contiguous in its
// last axis; batch axes are equal or broadcast views. f32, f64, and bf16 through copies in f32.
// Transposed operands cost no copy.
HEED_KERNEL(matmul, void(const Array& a, const Array& b, const Array& out, double beta));
