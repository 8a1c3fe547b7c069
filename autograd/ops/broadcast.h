// Broadcasting and its transpose, each of which is the other's derivative.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// x repeated along new axes in front and along its axes of size 1. A view: nothing is copied.
// ShapeError where x's shape does not broadcast to `shape`.
Tensor broadcast_to(const Tensor& x, const Shape& shape);
// Sums x over the axes in which `shape` would be repeated to become x's shape; x itself if there
// are none. f32, f64, bf16 (summed in f32), i32, i64. ShapeError where `shape` does not broadcast
// to x's shape.
Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace heed
