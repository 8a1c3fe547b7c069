// Small checks and conversions that ops share.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// `x` itself when it is contiguous, else a copy that is.
Array packed(const Array& x);
// x, in f32 if it is bf16: for what is composed of several steps, each of which would round.
Tensor widened(const Tensor& x);
// DTypeError unless f32, f64 or bf16: "softmax: f32, f64 or bf16 expected, got i64".
void require_floating(const char* op, const Array& x);
// `weight` undefined, or of x's dtype and shape [size]; ShapeError / DTypeError naming `what`
// otherwise.
void require_vector(const char* op, const char* what, const Tensor& vector, int64_t size,
                    DType dtype);

}  // namespace heed
