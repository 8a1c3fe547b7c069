// Small checks and conversions that ops share. Not for users.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// `x` itself when it is contiguous, else a copy that is.
Array packed(const Array& x);
// The same of an operand that may be left out: an undefined array for an undefined tensor.
Array packed(const Tensor& x);
// DTypeError "softmax: f32, f64 or bf16 expected, got i64" for other dtypes.
void require_floating(const char* op, const Array& x);
// ShapeError or DTypeError, naming `what`, unless `vector` is undefined or has x's dtype and shape
// [size].
void require_vector(const char* op, const char* what, const Tensor& vector, int64_t size,
                    DType dtype);

}  // namespace heed
