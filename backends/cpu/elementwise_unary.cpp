#include <math.h>

#include <heed/backends/cpu/elementwise_loops.h>
#include <heed/backends/elementwise_rows.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

// Lane by lane through the C library, exact in the corner cases (negative bases, 0^0).
template <class T>
Vec<T> pow(Vec<T> x, double a) {
  T lanes[Vec<T>::width];
  x.store(lanes);
  for (T& lane : lanes)
    lane = sizeof(T) == 4 ? T(powf(float(lane), float(a))) : T(::pow(double(lane), a));
  return Vec<T>::load(lanes);
}

template <class T>
static void integer_affine(UnaryParams p, const Array& x, const Array& out) {
  Loop<2>({&out, &x}).run([&](char* const* q, const int64_t* s, int64_t n) {
    auto a = static_cast<T>(p.a), b = static_cast<T>(p.b);
    for (int64_t i = 0; i < n; ++i)
      *reinterpret_cast<T*>(q[0] + i * s[0]) = a * *reinterpret_cast<const T*>(q[1] + i * s[1]) + b;
  });
}

template <class T>
static void run_forward(UnaryOp op, UnaryParams p, const Array& x, const Array& out) {
  switch (op) {
    case UnaryOp::affine:
      return map1<T>(out, x, [a = Vec<T>(p.a), b = Vec<T>(p.b)](Vec<T> v) { return v * a + b; });
#define HEED_CASE(Row) \
  case rows::Row::op: return map1<T>(out, x, [p](Vec<T> v) { return rows::Row::f(v, p); });
      HEED_UNARY_ROWS(HEED_CASE)
#undef HEED_CASE
  }
}

void unary(UnaryOp op, UnaryParams params, const Array& x, const Array& out) {
  switch (x.dtype()) {
    case DType::f32: return run_forward<float>(op, params, x, out);
    case DType::f64: return run_forward<double>(op, params, x, out);
    case DType::i32: return integer_affine<int32_t>(params, x, out);
    default: return integer_affine<int64_t>(params, x, out);
  }
}

template <class T>
static void run_backward(UnaryOp op, UnaryParams p, const Array& x, const Array& y, const Array& g,
                         const Array& out) {
  switch (op) {
    case UnaryOp::affine: return map1<T>(out, g, [a = Vec<T>(p.a)](Vec<T> v) { return v * a; });
#define HEED_CASE(Row)           \
  case rows::Row::op:            \
    return map3<T>(out, x, y, g, \
                   [p](Vec<T> a, Vec<T> b, Vec<T> c) { return c * rows::Row::df(a, b, p); });
      HEED_UNARY_ROWS(HEED_CASE)
#undef HEED_CASE
  }
}

void unary_backward(UnaryOp op, UnaryParams params, const Array& x, const Array& y, const Array& g,
                    const Array& out) {
  if (g.dtype() == DType::f32) run_backward<float>(op, params, x, y, g, out);
  else run_backward<double>(op, params, x, y, g, out);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
