// One row per function: f(x), and df(x, y) = f'(x) with y = f(x). `df` is generic: it is
// instantiated for SIMD vectors (the backward kernel) and for Tensor (derivatives of any order), so
// both come from one line. To add a function: a row here, its name in UnaryOp and HEED_UNARY_ROWS.
#pragma once

#include <heed/backends/elementwise.h>

namespace heed::rows {

inline constexpr double kInf = __builtin_inf();
inline constexpr double kSqrtHalf = 0.70710678118654752440;
inline constexpr double kInvSqrt2Pi = 0.39894228040143267794;
inline constexpr double kTwoOverSqrtPi = 1.12837916709551257390;
inline constexpr double kSqrt2OverPi = 0.79788456080286535588;
inline constexpr double kGeluCubic = 0.044715;

using P = UnaryParams;

template <class T>
T gelu_tanh_slope(const T& x, const T& t) {
  return 0.5 * (1.0 + t) +
         (0.5 * x) * (1.0 - t * t) * (kSqrt2OverPi * (1.0 + (3 * kGeluCubic) * (x * x)));
}
template <class T>
T silu_slope(const T& x, const T& s) {
  return s * (1.0 + x * (1.0 - s));
}

// What df reads, which decides what forward saves.
enum class Reads { x, y, both };

// clang-format off
#define HEED_ROW(Name, id, text, reads_what, f_body, df_body)                       \
  struct Name {                                                                     \
    static constexpr UnaryOp op = UnaryOp::id;                                      \
    static constexpr const char* name = text;                                       \
    static constexpr Reads reads = Reads::reads_what;                               \
    template <class T> static T f(T x, [[maybe_unused]] P p) { return f_body; }     \
    template <class T> static T df([[maybe_unused]] const T& x, [[maybe_unused]] const T& y, \
                                   [[maybe_unused]] P p) { return df_body; }        \
  }

HEED_ROW(Exp, exp, "exp", y, exp(x), y);
HEED_ROW(Log, log, "log", x, log(x), 1.0 / x);
HEED_ROW(Sqrt, sqrt, "sqrt", y, sqrt(x), 0.5 / y);
HEED_ROW(Rsqrt, rsqrt, "rsqrt", y, 1.0 / sqrt(x), -0.5 * (y * y * y));
HEED_ROW(Reciprocal, reciprocal, "reciprocal", y, 1.0 / x, -(y * y));
HEED_ROW(Square, square, "square", x, x * x, 2.0 * x);
HEED_ROW(Pow, pow, "pow", x, pow(x, p.a), p.a * pow(x, p.a - 1));
HEED_ROW(Tanh, tanh, "tanh", y, tanh(x), 1.0 - y * y);
HEED_ROW(Sigmoid, sigmoid, "sigmoid", y, 1.0 / (1.0 + exp(-x)), y * (1.0 - y));
HEED_ROW(Relu, relu, "relu", x, where(less(x, 0.0), 0.0, x), one_where(greater(x, 0.0), x));
HEED_ROW(Gelu, gelu, "gelu", x, x * (0.5 + 0.5 * erf(x * kSqrtHalf)),
         0.5 + 0.5 * erf(x * kSqrtHalf) + x * (kInvSqrt2Pi * exp(-0.5 * (x * x))));
HEED_ROW(GeluTanh, gelu_tanh, "gelu_tanh", x,
         0.5 * x * (1.0 + tanh(kSqrt2OverPi * (x + kGeluCubic * (x * x * x)))),
         gelu_tanh_slope(x, tanh(kSqrt2OverPi * (x + kGeluCubic * (x * x * x)))));
HEED_ROW(Silu, silu, "silu", x, x / (1.0 + exp(-x)), silu_slope(x, sigmoid(x)));
HEED_ROW(Elu, elu, "elu", x, where(greater(x, 0.0), x, p.a * expm1(clamp(x, -kInf, 0.0))),
         where(greater(x, 0.0), one_where(greater(x, 0.0), x), p.a * exp(clamp(x, -kInf, 0.0))));
HEED_ROW(Softplus, softplus, "softplus", x, clamp(x, 0.0, kInf) + log1p(exp(-abs(x))), sigmoid(x));
HEED_ROW(Erf, erf, "erf", x, erf(x), kTwoOverSqrtPi * exp(-(x * x)));
HEED_ROW(Sin, sin, "sin", x, sin(x), cos(x));
HEED_ROW(Cos, cos, "cos", x, cos(x), -sin(x));
HEED_ROW(Abs, abs, "abs", x, abs(x), sign(x));
HEED_ROW(Sign, sign, "sign", x, sign(x), one_where(less(x, x), x));  // zero everywhere
HEED_ROW(Clamp, clamp, "clamp", x, clamp(x, p.a, p.b),
         one_where(greater_equal(x, p.a), x) * one_where(less_equal(x, p.b), x));
#undef HEED_ROW

#define HEED_UNARY_ROWS(X)                                                                       \
  X(Exp) X(Log) X(Sqrt) X(Rsqrt) X(Reciprocal) X(Square) X(Pow) X(Tanh) X(Sigmoid) X(Relu) X(Gelu) \
  X(GeluTanh) X(Silu) X(Elu) X(Softplus) X(Erf) X(Sin) X(Cos) X(Abs) X(Sign) X(Clamp)
// clang-format on

}  // namespace heed::rows
