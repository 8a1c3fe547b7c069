#include <math.h>

#include <heed/backends/cpu/elementwise_loops.h>
#include <heed/backends/elementwise.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Scalar loops for integers, bool and the rare pow.
template <class A, class R, class F>
void map_scalar(const Array& out, const Array& a, const Array& b, F f) {
  Loop<3>({&out, &a, &b}).run([&](char* const* p, const int64_t* s, int64_t n) {
    for (int64_t i = 0; i < n; ++i)
      *reinterpret_cast<R*>(p[0] + i * s[0]) =
          static_cast<R>(f(*reinterpret_cast<const A*>(p[1] + i * s[1]),
                           *reinterpret_cast<const A*>(p[2] + i * s[2])));
  });
}

template <class T>
void run_float(BinaryOp op, const Array& a, const Array& b, const Array& out) {
  using V = Vec<T>;
  switch (op) {
    case BinaryOp::add: return map2<T>(out, a, b, [](V x, V y) { return x + y; });
    case BinaryOp::sub: return map2<T>(out, a, b, [](V x, V y) { return x - y; });
    case BinaryOp::mul: return map2<T>(out, a, b, [](V x, V y) { return x * y; });
    case BinaryOp::div: return map2<T>(out, a, b, [](V x, V y) { return x / y; });
    case BinaryOp::minimum:
      return map2<T>(out, a, b, [](V x, V y) { return select(y != y, y, min_keep(x, y)); });
    case BinaryOp::maximum:
      return map2<T>(out, a, b, [](V x, V y) { return select(y != y, y, max_keep(x, y)); });
    default:
      return map_scalar<T, T>(out, a, b, [](T x, T y) {
        return sizeof(T) == 4 ? T(powf(float(x), float(y))) : T(::pow(double(x), double(y)));
      });
  }
}

template <class T>
void run_integer(BinaryOp op, const Array& a, const Array& b, const Array& out) {
  switch (op) {
    case BinaryOp::add: return map_scalar<T, T>(out, a, b, [](T x, T y) { return x + y; });
    case BinaryOp::sub: return map_scalar<T, T>(out, a, b, [](T x, T y) { return x - y; });
    case BinaryOp::mul: return map_scalar<T, T>(out, a, b, [](T x, T y) { return x * y; });
    case BinaryOp::minimum:
      return map_scalar<T, T>(out, a, b, [](T x, T y) { return y < x ? y : x; });
    default: return map_scalar<T, T>(out, a, b, [](T x, T y) { return x < y ? y : x; });
  }
}

template <class T>
void run_compare(CompareOp op, const Array& a, const Array& b, const Array& out) {
  switch (op) {
    case CompareOp::equal: return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x == y; });
    case CompareOp::not_equal:
      return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x != y; });
    case CompareOp::less: return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x < y; });
    case CompareOp::less_equal:
      return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x <= y; });
    case CompareOp::greater: return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x > y; });
    case CompareOp::greater_equal:
      return map_scalar<T, bool>(out, a, b, [](T x, T y) { return x >= y; });
  }
}

// A choice moves bits, whatever they mean: one instantiation an element size.
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
  if (op == BinaryOp::logical_and)
    return map_scalar<bool, bool>(out, a, b, [](bool x, bool y) { return x && y; });
  if (op == BinaryOp::logical_or)
    return map_scalar<bool, bool>(out, a, b, [](bool x, bool y) { return x || y; });
  switch (a.dtype()) {
    case DType::f32: return run_float<float>(op, a, b, out);
    case DType::f64: return run_float<double>(op, a, b, out);
    case DType::i32: return run_integer<int32_t>(op, a, b, out);
    default: return run_integer<int64_t>(op, a, b, out);
  }
}

void compare(CompareOp op, const Array& a, const Array& b, const Array& out) {
  switch (a.dtype()) {
    case DType::f32: return run_compare<float>(op, a, b, out);
    case DType::f64: return run_compare<double>(op, a, b, out);
    case DType::i32: return run_compare<int32_t>(op, a, b, out);
    case DType::i64: return run_compare<int64_t>(op, a, b, out);
    default: return run_compare<uint8_t>(op, a, b, out);
  }
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
