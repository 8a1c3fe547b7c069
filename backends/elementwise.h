// Elementwise kernels. Operands of binary kernels are views broadcast to the output's shape.
#pragma once

#include <heed/backends/kernel.h>

namespace heed {

enum class UnaryOp {
  // clang-format off
  affine, exp, log, sqrt, rsqrt, reciprocal, square, pow, tanh, sigmoid, relu, gelu, gelu_tanh,
  silu, elu, softplus, erf, sin, cos, abs, sign, clamp
  // clang-format on
};
// affine: a x + b; pow: x^a; elu: alpha = a; clamp: [a, b].
struct UnaryParams {
  double a = 0, b = 0;
};
enum class BinaryOp { add, sub, mul, div, pow, minimum, maximum, logical_and, logical_or };
enum class CompareOp { equal, not_equal, less, less_equal, greater, greater_equal };

}  // namespace heed

// f32, f64, bf16; affine also i32, i64. out may be x.
HEED_KERNEL(unary, void(UnaryOp op, UnaryParams params, const Array& x, const Array& out));
// out = g df(x, y), y = f(x); f32, f64, bf16. out may be any input. Both x and y are passed, though
// most rows read only one. For bf16, y is recomputed from x, since the stored y is rounded.
HEED_KERNEL(unary_backward, void(UnaryOp op, UnaryParams params, const Array& x, const Array& y,
                                 const Array& g, const Array& out));
// f32, f64, bf16, i32, i64; logical_*: bool. out may be a or b.
HEED_KERNEL(binary, void(BinaryOp op, const Array& a, const Array& b, const Array& out));
// out is bool; every dtype but f16.
HEED_KERNEL(compare, void(CompareOp op, const Array& a, const Array& b, const Array& out));
// condition ? a : b; every dtype. out may be a or b.
HEED_KERNEL(where, void(const Array& condition, const Array& a, const Array& b, const Array& out));
