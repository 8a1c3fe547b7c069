// What convolution, pooling and interpolation ask of the axes behind [B, C]. Not for users.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// The most outputs of an axis: beyond, windows are not planned but a mistake is suspected.
inline constexpr int64_t kLargestAxis = int64_t{1} << 31;

// How a kernel moves along one axis.
struct SpatialAxis {
  int64_t in, kernel, stride, padding, dilation;
  int64_t extent() const { return dilation * (kernel - 1) + 1; }
  int64_t padded() const { return in + 2 * padding; }
  // ValueError for sizes below 1, a padding below 0, and sizes so large that sums of these numbers
  // could overflow.
  void check(const char* op) const;
};

// DTypeError unless x is floating; ShapeError unless its shape is [B, C] followed by `axes` (1 to
// 3) sizes above 0.
void require_map(const char* op, const Tensor& x, int axes);
// One size for each axis, from as many or from one for all. ShapeError, which calls them `what`.
Shape per_axis(const char* op, const char* what, const Shape& sizes, int axes);

}  // namespace heed
