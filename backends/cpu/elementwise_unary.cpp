#include <math.h>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/elementwise_loops.h>
#include <heed/backends/elementwise_rows.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

// Lane by lane through the C library, exact in the corner cases (negative bases, 0^0).
template <class T>
Vec<T> pow(Vec<T> x, double a) {
  T lanes[Vec<T>::width];
  x.store(lanes);
  for (T& lane : lanes) lane = power(lane, static_cast<T>(a));
  return Vec<T>::load(lanes);
}

template <class T>
static void integer_affine(UnaryParams p, Span<2> x) {
  auto a = static_cast<T>(p.a), b = static_cast<T>(p.b);
  for (int64_t i = 0; i < x.n; ++i)
    *reinterpret_cast<T*>(x.p[0] + i * x.s[0]) =
        a * *reinterpret_cast<const T*>(x.p[1] + i * x.s[1]) + b;
}

template <class T>
static void run_forward(UnaryOp op, UnaryParams p, Span<2> x) {
  switch (op) {
    case UnaryOp::affine:
      return map1<T>(x, [a = Vec<T>(p.a), b = Vec<T>(p.b)](Vec<T> v) { return v * a + b; });
#define HEED_CASE(Row) \
  case rows::Row::op: return map1<T>(x, [p](Vec<T> v) { return rows::Row::f(v, p); });
      HEED_UNARY_ROWS(HEED_CASE)
#undef HEED_CASE
  }
}

void unary(UnaryOp op, UnaryParams params, const Array& x, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t>("unary", x.dtype(), [&](auto type) {
    using T = decltype(type);
    each_span({&out, &x}, [&](Span<2> span) {
      if constexpr (__is_same(T, bfloat16))
        through_f32<bfloat16>(span, [&](Span<2> wide) { run_forward<float>(op, params, wide); });
      else if constexpr (std::is_floating_point_v<T>) run_forward<T>(op, params, span);
      else integer_affine<T>(params, span);
    });
  });
}

template <class T>
static void run_backward(UnaryOp op, UnaryParams p, Span<4> x) {
  switch (op) {
    case UnaryOp::affine: {
      char* const pointers[] = {x.p[0], x.p[3]};
      const int64_t strides[] = {x.s[0], x.s[3]};
      return map1<T>({pointers, strides, x.n}, [a = Vec<T>(p.a)](Vec<T> v) { return v * a; });
    }
#define HEED_CASE(Row) \
  case rows::Row::op:  \
    return map3<T>(x, [p](Vec<T> a, Vec<T> b, Vec<T> c) { return c * rows::Row::df(a, b, p); });
      HEED_UNARY_ROWS(HEED_CASE)
#undef HEED_CASE
  }
}

static bool reads_y(UnaryOp op) {
  switch (op) {
    case UnaryOp::affine: return false;
#define HEED_CASE(Row) \
  case rows::Row::op: return rows::Row::reads != rows::Reads::x;
      HEED_UNARY_ROWS(HEED_CASE)
#undef HEED_CASE
  }
  return false;
}

void unary_backward(UnaryOp op, UnaryParams params, const Array& x, const Array& y, const Array& g,
                    const Array& out) {
  dispatch_floating("unary_backward", g.dtype(), [&](auto type) {
    using T = decltype(type);
    each_span({&out, &x, &y, &g}, [&](Span<4> span) {
      if constexpr (__is_same(T, bfloat16))
        through_f32<bfloat16>(span, [&](Span<4> wide) {
          if (reads_y(op)) {
            char* const pointers[] = {wide.p[2], wide.p[1]};
            const int64_t strides[] = {sizeof(float), wide.s[1]};
            run_forward<float>(op, params, {pointers, strides, wide.n});
          }
          run_backward<float>(op, params, wide);
        });
      else run_backward<T>(op, params, span);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
