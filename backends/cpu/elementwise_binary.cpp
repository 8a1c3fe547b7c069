#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/elementwise_loops.h>
#include <heed/backends/elementwise.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Scalar loops for integers, bool and pow, which is rare.
template <class A, class R, class F>
inline __attribute__((always_inline)) void map_scalar(Span<3> x, F f) {
  for (int64_t i = 0; i < x.n; ++i)
    *reinterpret_cast<R*>(x.p[0] + i * x.s[0]) =
        static_cast<R>(f(*reinterpret_cast<const A*>(x.p[1] + i * x.s[1]),
                         *reinterpret_cast<const A*>(x.p[2] + i * x.s[2])));
}

template <class T>
void run_float(BinaryOp op, Span<3> span) {
  using V = Vec<T>;
  switch (op) {
    case BinaryOp::add: return map2<T>(span, [](V x, V y) { return x + y; });
    case BinaryOp::sub: return map2<T>(span, [](V x, V y) { return x - y; });
    case BinaryOp::mul: return map2<T>(span, [](V x, V y) { return x * y; });
    case BinaryOp::div: return map2<T>(span, [](V x, V y) { return x / y; });
    case BinaryOp::minimum:
      return map2<T>(span, [](V x, V y) { return select(y != y, y, min_keep(x, y)); });
    case BinaryOp::maximum:
      return map2<T>(span, [](V x, V y) { return select(y != y, y, max_keep(x, y)); });
    default: return map_scalar<T, T>(span, [](T x, T y) { return power(x, y); });
  }
}

template <class T>
void run_integer(BinaryOp op, Span<3> span) {
  switch (op) {
    case BinaryOp::add: return map_scalar<T, T>(span, [](T x, T y) { return x + y; });
    case BinaryOp::sub: return map_scalar<T, T>(span, [](T x, T y) { return x - y; });
    case BinaryOp::mul: return map_scalar<T, T>(span, [](T x, T y) { return x * y; });
    case BinaryOp::minimum: return map_scalar<T, T>(span, [](T x, T y) { return y < x ? y : x; });
    default: return map_scalar<T, T>(span, [](T x, T y) { return x < y ? y : x; });
  }
}

void run_bool(BinaryOp op, Span<3> span) {
  if (op == BinaryOp::logical_and)
    map_scalar<bool, bool>(span, [](bool x, bool y) { return x && y; });
  else map_scalar<bool, bool>(span, [](bool x, bool y) { return x || y; });
}

template <class T>
void run_compare(CompareOp op, Span<3> span) {
  switch (op) {
    case CompareOp::equal: return map_scalar<T, bool>(span, [](T x, T y) { return x == y; });
    case CompareOp::not_equal: return map_scalar<T, bool>(span, [](T x, T y) { return x != y; });
    case CompareOp::less: return map_scalar<T, bool>(span, [](T x, T y) { return x < y; });
    case CompareOp::less_equal: return map_scalar<T, bool>(span, [](T x, T y) { return x <= y; });
    case CompareOp::greater: return map_scalar<T, bool>(span, [](T x, T y) { return x > y; });
    case CompareOp::greater_equal:
      return map_scalar<T, bool>(span, [](T x, T y) { return x >= y; });
  }
}

// `where` moves bits, whatever they mean: one instantiation per element size.
template <class T>
void run_where(const Array& condition, const Array& a, const Array& b, const Array& out) {
  Loop<4>({&out, &condition, &a, &b}).run([&](char* const* p, const int64_t* s, int64_t n) {
    for (int64_t i = 0; i < n; ++i) {
      T x = *reinterpret_cast<const T*>(p[2] + i * s[2]),
        y = *reinterpret_cast<const T*>(p[3] + i * s[3]);
      *reinterpret_cast<T*>(p[0] + i * s[0]) = p[1][i * s[1]] ? x : y;
    }
  });
}

}  // namespace

void binary(BinaryOp op, const Array& a, const Array& b, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t, bool>(
      "binary", a.dtype(), [&](auto type) {
        using T = decltype(type);
        each_span({&out, &a, &b}, [&](Span<3> span) {
          if constexpr (__is_same(T, bfloat16))
            through_f32<bfloat16>(span, [&](Span<3> wide) { run_float<float>(op, wide); });
          else if constexpr (__is_same(T, bool)) run_bool(op, span);
          else if constexpr (std::is_floating_point_v<T>) run_float<T>(op, span);
          else run_integer<T>(op, span);
        });
      });
}

void compare(CompareOp op, const Array& a, const Array& b, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t, uint8_t, bool>(
      "compare", a.dtype(), [&](auto type) {
        using T = decltype(type);
        each_span({&out, &a, &b}, [&](Span<3> span) {
          if constexpr (__is_same(T, bfloat16))
            through_f32<bool>(span, [&](Span<3> wide) { run_compare<float>(op, wide); });
          else if constexpr (__is_same(T, bool)) run_compare<uint8_t>(op, span);
          else run_compare<T>(op, span);
        });
      });
}

void where(const Array& condition, const Array& a, const Array& b, const Array& out) {
  switch (size_of(a.dtype())) {
    case 1: return run_where<uint8_t>(condition, a, b, out);
    case 2: return run_where<uint16_t>(condition, a, b, out);
    case 4: return run_where<uint32_t>(condition, a, b, out);
    default: return run_where<uint64_t>(condition, a, b, out);
  }
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
