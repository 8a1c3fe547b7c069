// Sorting along an axis, giving indices.
#pragma once

#include <heed/backends/kernel.h>

// The indices of the first out.dim(axis) elements in sorted order. Equal elements keep their order;
// NaN counts as larger than all numbers. x: every dtype but f16, any strides; out: i64, contiguous.
HEED_KERNEL_ONCE(sort_indices, void(const Array& x, int axis, bool descending, const Array& out));
