// The largest element in each window.
#pragma once

#include <heed/backends/windows.h>

// x [P, depth.in, height.in, width.in] -> out, index [P, depth.out, height.out, width.out], all
// contiguous; x and out f32, f64 or bf16, index i32: the place of the maximum in its plane of
// depth.in height.in width.in < 2^31 elements. The first place wins ties; NaN wins over numbers.
// Every window has an element. The axes have no weights.
HEED_KERNEL(max_pool, void(const Array& x, const WindowAxis& depth, const WindowAxis& height,
                           const WindowAxis& width, const Array& out, const Array& index));

// Its gradient: to [P, N] = 0, then to[p, index[p, m]] += from[p, m]. from, index [P, M], all
// contiguous; f32, f64, bf16 (summed in f32); index i32, inside [0, N).
HEED_KERNEL_ONCE(max_pool_backward, void(const Array& from, const Array& index, const Array& to));
