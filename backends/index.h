// Reading and adding by index. Indices are i64 and contiguous. For arrays on the CPU the caller has
// checked them; on other devices it cannot (autograd/ops/range_flag.h), so that no kernel may
// follow an index out of range: reading gives 0 there, adding leaves it out. All arrays are
// contiguous. Sums run in a fixed order, whatever the number of threads.
#pragma once

#include <heed/backends/kernel.h>

// Position of the first index outside [0, size), or -1.
HEED_KERNEL_ONCE(first_bad_index, int64_t(const Array& index, int64_t size));
// Sets flag i64 [1] to 1 where an index is outside [0, size) and is not `allowed`.
HEED_KERNEL_ONCE(flag_bad_index,
                 void(const Array& index, int64_t size, int64_t allowed, const Array& flag));
// out = x with axis replaced by index [N]. Every dtype.
HEED_KERNEL_ONCE(index_select,
                 void(const Array& x, int axis, const Array& index, const Array& out));
// out[.., index[n], ..] += source[.., n, ..], except where index[n] is `skip`; f32, f64, bf16
// (summed in f32), i32, i64.
HEED_KERNEL_ONCE(index_add, void(const Array& out, int axis, const Array& index,
                                 const Array& source, int64_t skip));
// out[.., i, ..] = x[.., index[.., i, ..], ..]. Every dtype.
HEED_KERNEL_ONCE(gather, void(const Array& x, int axis, const Array& index, const Array& out));
// out[.., index[.., i, ..], ..] += source[.., i, ..]; as index_add.
HEED_KERNEL_ONCE(scatter_add,
                 void(const Array& out, int axis, const Array& index, const Array& source));
