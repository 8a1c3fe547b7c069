// Reading and writing single elements by index. Indices are i64 (or i32) and get no gradient. One
// out of range is on the CPU a ValueError that names it and its position; on other devices it reads
// 0, adds nothing and sets the device's flag (range_flag.h).
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

class Vjp;

// out[.., i, ..] = x[.., index[.., i, ..], ..]: index has x's shape except in `axis`.
Tensor gather(const Tensor& x, int axis, const Tensor& index);
// x with out[.., index[.., i, ..], ..] += source[.., i, ..]; source and index have one shape.
Tensor scatter_add(const Tensor& x, int axis, const Tensor& index, const Tensor& source);
// Not for users: the gradient of ops such as sort, whose output 0 is input 0 at `index` (i64, in
// range) along `axis`.
void gather_vjp(Vjp& v, int axis, const Tensor& index);

}  // namespace heed
