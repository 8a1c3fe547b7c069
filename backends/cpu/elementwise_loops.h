// A vector function over arrays: whole vectors, then the tail through the same function, so that an
// element's result does not depend on its position.
#pragma once

#include <math.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/loops.h>
#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

inline float power(float x, float y) { return powf(x, y); }
inline double power(double x, double y) { return ::pow(x, y); }

// Loads the last few elements, or elements that are not adjacent. Kept apart from load_any so that
// load_any is inlined: as a call for every vector it took longer than the arithmetic.
template <class T>
__attribute__((noinline)) Vec<T> load_rest(const T* q, int64_t stride, int64_t n) {
  if (stride == 1) return Vec<T>::load_part(q, n);
  return Vec<T>::load_strided(q, stride, n < Vec<T>::width ? n : Vec<T>::width);
}
template <class T>
__attribute__((noinline)) void store_rest(Vec<T> v, T* q, int64_t stride, int64_t n) {
  if (stride == 1) v.store_part(q, n);
  else v.store_strided(q, stride, n < Vec<T>::width ? n : Vec<T>::width);
}

template <class T>
inline __attribute__((always_inline)) Vec<T> load_any(const char* p, int64_t stride, int64_t i,
                                                      int64_t n) {
  const T* q = reinterpret_cast<const T*>(p + i * stride);
  if (stride == 0) return Vec<T>(typename Vec<T>::Batch(*q));
  if (stride == static_cast<int64_t>(sizeof(T)) && n >= Vec<T>::width) return Vec<T>::load(q);
  return load_rest<T>(q, stride / static_cast<int64_t>(sizeof(T)), n);
}

template <class T>
inline __attribute__((always_inline)) void store_any(Vec<T> v, char* p, int64_t stride, int64_t i,
                                                     int64_t n) {
  T* q = reinterpret_cast<T*>(p + i * stride);
  if (stride == static_cast<int64_t>(sizeof(T)) && n >= Vec<T>::width) return v.store(q);
  store_rest<T>(v, q, stride / static_cast<int64_t>(sizeof(T)), n);
}

// A row of K operands, the result first; strides in bytes.
template <int K>
struct Span {
  char* const* p;
  const int64_t* s;
  int64_t n;
};

// run(span) for the rows of all operands, in parallel. The choice among functions is made inside
// `run`, so that this is compiled once and not for each of them.
template <int K, class F>
void each_span(const Array* const (&arrays)[K], F run) {
  Loop<K>(arrays).run([&](char* const* p, const int64_t* s, int64_t n) { run(Span<K>{p, s, n}); });
}

// f(vectors of the inputs) -> vector.
template <class T, class F>
inline __attribute__((always_inline)) void map1(Span<2> x, F f) {
  constexpr int64_t W = Vec<T>::width;
  char* const* p = x.p;
  const int64_t *s = x.s, n = x.n;
  int64_t i = 0;
  if (s[0] == sizeof(T) && s[1] == sizeof(T))
    for (; i + W <= n; i += W)
      f(Vec<T>::load(reinterpret_cast<const T*>(p[1]) + i)).store(reinterpret_cast<T*>(p[0]) + i);
  for (; i < n; i += W) store_any<T>(f(load_any<T>(p[1], s[1], i, n - i)), p[0], s[0], i, n - i);
}

template <class T, class F>
inline __attribute__((always_inline)) void map2(Span<3> x, F f) {
  constexpr int64_t W = Vec<T>::width;
  char* const* p = x.p;
  const int64_t *s = x.s, n = x.n;
  int64_t i = 0;
  if (s[0] == sizeof(T) && s[1] == sizeof(T) && s[2] == sizeof(T))
    for (; i + W <= n; i += W)
      f(Vec<T>::load(reinterpret_cast<const T*>(p[1]) + i),
        Vec<T>::load(reinterpret_cast<const T*>(p[2]) + i))
          .store(reinterpret_cast<T*>(p[0]) + i);
  for (; i < n; i += W)
    store_any<T>(f(load_any<T>(p[1], s[1], i, n - i), load_any<T>(p[2], s[2], i, n - i)), p[0],
                 s[0], i, n - i);
}

template <class T, class F>
inline __attribute__((always_inline)) void map3(Span<4> x, F f) {
  char* const* p = x.p;
  const int64_t *s = x.s, n = x.n;
  for (int64_t i = 0; i < n; i += Vec<T>::width)
    store_any<T>(f(load_any<T>(p[1], s[1], i, n - i), load_any<T>(p[2], s[2], i, n - i),
                   load_any<T>(p[3], s[3], i, n - i)),
                 p[0], s[0], i, n - i);
}

// Runs a span of bf16 through a span of f32, one piece at a time that fits in the first-level
// cache, so that the functions themselves are not compiled again. `Out`: the type of the result,
// bfloat16 or another one, which `run` writes itself.
template <class Out, int K, class F>
void through_f32(Span<K> x, F run) {
  constexpr int64_t kPiece = 512;
  alignas(64) float buffers[K][kPiece];
  constexpr int first = __is_same(Out, bfloat16) ? 0 : 1;
  for (int64_t begin = 0; begin < x.n; begin += kPiece) {
    const int64_t n = x.n - begin < kPiece ? x.n - begin : kPiece;
    char* p[K];
    int64_t s[K];
    p[0] = x.p[0] + begin * x.s[0];
    s[0] = x.s[0];
    for (int k = first; k < K; ++k) {
      p[k] = reinterpret_cast<char*>(buffers[k]);
      s[k] = sizeof(float);
      if (k == 0) continue;
      const char* from = x.p[k] + begin * x.s[k];
      if (x.s[k] == sizeof(bfloat16)) {
        widen(reinterpret_cast<const bfloat16*>(from), n, buffers[k]);
        continue;
      }
      if (x.s[k] == 0) s[k] = 0;
      for (int64_t i = 0; i < (s[k] == 0 ? 1 : n); ++i)
        buffers[k][i] = widened(*reinterpret_cast<const bfloat16*>(from + i * x.s[k]));
    }
    run(Span<K>{p, s, n});
    if (first > 0) continue;
    char* to = x.p[0] + begin * x.s[0];
    if (x.s[0] == sizeof(bfloat16)) narrow(buffers[0], n, reinterpret_cast<bfloat16*>(to));
    else
      for (int64_t i = 0; i < n; ++i)
        *reinterpret_cast<bfloat16*>(to + i * x.s[0]) = narrowed<bfloat16>(buffers[0][i]);
  }
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
