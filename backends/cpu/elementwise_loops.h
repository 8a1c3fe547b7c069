// A vector function over arrays: whole vectors, then the tail through the same function, so that an
// element's result does not depend on its place.
#pragma once

#include <heed/backends/cpu/loops.h>
#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

// The last few elements, and those that are not neighbours. Apart from load_any, so that this one
// is inlined: called for every vector, it took longer than the arithmetic.
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

// arrays = {out, in...}; f(vectors of in...) -> vector.
template <class T, class F>
void map1(const Array& out, const Array& a, F f) {
  Loop<2>({&out, &a}).run([&](char* const* p, const int64_t* s, int64_t n) {
    constexpr int64_t W = Vec<T>::width;
    int64_t i = 0;
    if (s[0] == sizeof(T) && s[1] == sizeof(T))
      for (; i + W <= n; i += W)
        f(Vec<T>::load(reinterpret_cast<const T*>(p[1]) + i)).store(reinterpret_cast<T*>(p[0]) + i);
    for (; i < n; i += W) store_any<T>(f(load_any<T>(p[1], s[1], i, n - i)), p[0], s[0], i, n - i);
  });
}

template <class T, class F>
void map2(const Array& out, const Array& a, const Array& b, F f) {
  Loop<3>({&out, &a, &b}).run([&](char* const* p, const int64_t* s, int64_t n) {
    constexpr int64_t W = Vec<T>::width;
    int64_t i = 0;
    if (s[0] == sizeof(T) && s[1] == sizeof(T) && s[2] == sizeof(T))
      for (; i + W <= n; i += W)
        f(Vec<T>::load(reinterpret_cast<const T*>(p[1]) + i),
          Vec<T>::load(reinterpret_cast<const T*>(p[2]) + i))
            .store(reinterpret_cast<T*>(p[0]) + i);
    for (; i < n; i += W)
      store_any<T>(f(load_any<T>(p[1], s[1], i, n - i), load_any<T>(p[2], s[2], i, n - i)), p[0],
                   s[0], i, n - i);
  });
}

template <class T, class F>
void map3(const Array& out, const Array& a, const Array& b, const Array& c, F f) {
  Loop<4>({&out, &a, &b, &c}).run([&](char* const* p, const int64_t* s, int64_t n) {
    for (int64_t i = 0; i < n; i += Vec<T>::width)
      store_any<T>(f(load_any<T>(p[1], s[1], i, n - i), load_any<T>(p[2], s[2], i, n - i),
                     load_any<T>(p[3], s[3], i, n - i)),
                   p[0], s[0], i, n - i);
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
