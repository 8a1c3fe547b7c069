// Elementwise ops. Operands broadcast (NumPy's rule) and have the same dtype: there is no implicit
// promotion (DTypeError), except that a `double` beside a tensor takes the tensor's dtype; beside
// integers it must be a whole number. Sums, products, minimum, maximum: f32, f64, bf16, i32, i64.
// Quotients, powers, functions: f32, f64, bf16. ShapeError if the shapes do not broadcast.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

Tensor add(const Tensor& a, const Tensor& b);
Tensor sub(const Tensor& a, const Tensor& b);
Tensor mul(const Tensor& a, const Tensor& b);
Tensor div(const Tensor& a, const Tensor& b);
Tensor pow(const Tensor& a, const Tensor& b);  // a > 0 where the gradient in b is wanted
// NaN if either operand is NaN; on a tie each gets half of the gradient.
Tensor minimum(const Tensor& a, const Tensor& b);
Tensor maximum(const Tensor& a, const Tensor& b);

Tensor add(const Tensor& a, double b);
Tensor mul(const Tensor& a, double b);
Tensor div(const Tensor& a, double b);
Tensor pow(const Tensor& a, double exponent);
Tensor rsub(double a, const Tensor& b);  // a - b
Tensor rdiv(double a, const Tensor& b);  // a / b

inline Tensor operator+(const Tensor& a, const Tensor& b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, const Tensor& b) { return sub(a, b); }
inline Tensor operator*(const Tensor& a, const Tensor& b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, const Tensor& b) { return div(a, b); }
inline Tensor operator+(const Tensor& a, double b) { return add(a, b); }
inline Tensor operator-(const Tensor& a, double b) { return add(a, -b); }
inline Tensor operator*(const Tensor& a, double b) { return mul(a, b); }
inline Tensor operator/(const Tensor& a, double b) { return div(a, b); }
inline Tensor operator+(double a, const Tensor& b) { return add(b, a); }
inline Tensor operator-(double a, const Tensor& b) { return rsub(a, b); }
inline Tensor operator*(double a, const Tensor& b) { return mul(b, a); }
inline Tensor operator/(double a, const Tensor& b) { return rdiv(a, b); }

Tensor neg(const Tensor& x);
inline Tensor operator-(const Tensor& x) { return neg(x); }
Tensor exp(const Tensor& x);
Tensor log(const Tensor& x);
Tensor sqrt(const Tensor& x);
Tensor rsqrt(const Tensor& x);       // 1 / sqrt(x)
Tensor reciprocal(const Tensor& x);  // 1 / x
Tensor square(const Tensor& x);
Tensor tanh(const Tensor& x);
Tensor sigmoid(const Tensor& x);                // 1 / (1 + exp(-x))
Tensor relu(const Tensor& x);                   // max(x, 0); derivative 0 at 0
Tensor gelu(const Tensor& x);                   // x Phi(x), exact (Hendrycks & Gimpel 2016)
Tensor gelu_tanh(const Tensor& x);              // its tanh approximation, as in GPT-2
Tensor silu(const Tensor& x);                   // x sigmoid(x)
Tensor elu(const Tensor& x, double alpha = 1);  // x > 0 ? x : alpha (exp(x) - 1)
Tensor softplus(const Tensor& x);               // log(1 + exp(x)), without overflow
Tensor erf(const Tensor& x);
Tensor sin(const Tensor& x);
Tensor cos(const Tensor& x);
Tensor abs(const Tensor& x);   // derivative sign(x), 0 at 0
Tensor sign(const Tensor& x);  // -1, 0, 1; derivative 0
// low <= x <= high; derivative 1 inside and on the borders, 0 outside. NaN stays.
Tensor clamp(const Tensor& x, double low, double high);

// Comparisons give bool tensors and no gradient. NaN compares false (not_equal: true).
Tensor equal(const Tensor& a, const Tensor& b);
Tensor not_equal(const Tensor& a, const Tensor& b);
Tensor less(const Tensor& a, const Tensor& b);
Tensor less_equal(const Tensor& a, const Tensor& b);
Tensor greater(const Tensor& a, const Tensor& b);
Tensor greater_equal(const Tensor& a, const Tensor& b);
Tensor equal(const Tensor& a, double b);
Tensor less(const Tensor& a, double b);
Tensor greater(const Tensor& a, double b);
Tensor logical_and(const Tensor& a, const Tensor& b);  // bool
Tensor logical_or(const Tensor& a, const Tensor& b);
Tensor logical_not(const Tensor& a);

// condition ? a : b, elementwise; all three broadcast; condition is bool. A NaN in the branch that
// is not taken reaches neither the result nor a gradient.
Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
Tensor where(const Tensor& condition, const Tensor& a, double b);
Tensor where(const Tensor& condition, double a, const Tensor& b);

}  // namespace heed
