// What convolution, pooling and interpolation ask of the axes behind [B, C]. Not for users.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// The most outputs of an axis: beyond, windows are not planned but a mistake is suspected.
inline constexpr int64_t kLargestAxis = int64_t{1} << 31;

// DTypeError unless x is floating; ShapeError unless its shape is [B, C] followed by `axes` (1 to
// 3) sizes above 0.
void require_map(const char* op, const Tensor& x, int axes);
// One size for each axis, from as many or from one for all. ShapeError, which calls them `what`.
Shape per_axis(const char* op, const char* what, const Shape& sizes, int axes);

}  // namespace heed
