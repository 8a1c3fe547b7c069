// Reductions and scans. `out` has x's rank, with size 1 in the axes that are reduced.
#pragma once

#include <heed/backends/kernel.h>

// f32, f64, bf16, i32, i64; any axes, any strides of x; out contiguous. f32 and bf16 accumulate in
// blocks of f32 and f64 across blocks; integers wrap around.
HEED_KERNEL(sum, void(const Array& x, const Array& out));
// Index of the largest (or smallest) element along `axis`: out i64, contiguous. The lowest index
// wins ties, NaN wins over numbers. Every dtype but f16.
HEED_KERNEL(arg_extreme, void(const Array& x, int axis, bool largest, const Array& out));
// Running sums along `axis`, from the end if `reverse`; f32 and bf16 (accumulated in f64), f64,
// i32, i64. Same shapes, contiguous; out may be x.
HEED_KERNEL(cumsum, void(const Array& x, int axis, bool reverse, const Array& out));
