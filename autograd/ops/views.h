// Shape ops: views where the strides allow it, copies otherwise. Negative axes and indices count
// from the end.
#pragma once

#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

Tensor reshape(const Tensor& x, const Shape& shape);  // one size may be -1
Tensor permute(const Tensor& x, const Shape& order);  // order[i]: the axis that becomes axis i
Tensor transpose(const Tensor& x, int axis_a, int axis_b);
Tensor squeeze(const Tensor& x, int axis);
Tensor unsqueeze(const Tensor& x, int axis);
// [begin, end) by step along one axis; bounds clamp as in Python, step >= 1.
Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end, int64_t step = 1);
// Removes the axis; ShapeError out of range.
Tensor select(const Tensor& x, int axis, int64_t index);
// Pieces of `size`; the last one is smaller if the axis does not divide.
std::vector<Tensor> split(const Tensor& x, int axis, int64_t size);
std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes);
Tensor flip(const Tensor& x, int axis);
Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value = 0);
Tensor concat(const std::vector<Tensor>& parts, int axis);
Tensor stack(const std::vector<Tensor>& parts, int axis);  // along a new axis
Tensor contiguous(const Tensor& x);                        // x itself when it is
Tensor clone(const Tensor& x);
Tensor cast(const Tensor& x, DType dtype);
Tensor to_device(const Tensor& x, Device device);  // a copy there; x itself when it is there

}  // namespace heed
