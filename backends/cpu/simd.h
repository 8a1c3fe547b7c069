// Vectors of the level that this file is compiled for: `Vec<float>`, `Vec<double>`. The one include
// of xsimd; what differs between its versions (8 to 14) stays in here.
//
//   Vec<float> v = Vec<float>::load(p);  v = exp(v - max) * 2.0;  v.store(out);
#pragma once

#include <cstdint>

#ifndef HEED_ISA_NAMESPACE
#error "backends/cpu/*.cpp are compiled once per level, with HEED_ISA_NAMESPACE set"
#endif

// Two inline functions of xsimd 8 (the argument reduction of sin and cos) do not have the
// instruction set in their names: the linker would keep one copy of them for all levels. So each
// level gets its own.
#define HEED_JOIN_NAMES(a, b) a##_##b
#define HEED_OF_LEVEL(name, level) HEED_JOIN_NAMES(name, level)
#define __ieee754_rem_pio2 HEED_OF_LEVEL(ieee754_rem_pio2, HEED_ISA_NAMESPACE)
#define __kernel_rem_pio2 HEED_OF_LEVEL(kernel_rem_pio2, HEED_ISA_NAMESPACE)
#include <xsimd/xsimd.hpp>
#undef __ieee754_rem_pio2
#undef __kernel_rem_pio2

namespace heed::kernels::HEED_ISA_NAMESPACE {

template <class T>
struct Mask;

template <class T>
struct Vec {
  using Batch = xsimd::batch<T>;
  static constexpr int64_t width = static_cast<int64_t>(Batch::size);
  Batch v;

  Vec() = default;
  Vec(Batch b) : v(b) {}
  Vec(double scalar) : v(static_cast<T>(scalar)) {}
  static Vec load(const T* p) { return Batch::load_unaligned(p); }
  void store(T* p) const { v.store_unaligned(p); }
  // The first n < width elements; the others read as `fill`.
  static Vec load_part(const T* p, int64_t n, T fill = T(0)) {
    alignas(64) T buffer[width];
    for (int64_t i = 0; i < width; ++i) buffer[i] = i < n ? p[i] : fill;
    return Batch::load_aligned(buffer);
  }
  void store_part(T* p, int64_t n) const {
    alignas(64) T buffer[width];
    v.store_aligned(buffer);
    for (int64_t i = 0; i < n; ++i) p[i] = buffer[i];
  }
  static Vec load_strided(const T* p, int64_t stride, int64_t n) {
    alignas(64) T buffer[width] = {};
    for (int64_t i = 0; i < n; ++i) buffer[i] = p[i * stride];
    return Batch::load_aligned(buffer);
  }
  void store_strided(T* p, int64_t stride, int64_t n) const {
    alignas(64) T buffer[width];
    v.store_aligned(buffer);
    for (int64_t i = 0; i < n; ++i) p[i * stride] = buffer[i];
  }

  friend Vec operator+(Vec a, Vec b) { return a.v + b.v; }
  friend Vec operator-(Vec a, Vec b) { return a.v - b.v; }
  friend Vec operator*(Vec a, Vec b) { return a.v * b.v; }
  friend Vec operator/(Vec a, Vec b) { return a.v / b.v; }
  friend Vec operator-(Vec a) { return -a.v; }
  Vec& operator+=(Vec b) {
    v = v + b.v;
    return *this;
  }
  Vec& operator*=(Vec b) {
    v = v * b.v;
    return *this;
  }

  friend Vec fma(Vec a, Vec b, Vec c) { return xsimd::fma(a.v, b.v, c.v); }  // a b + c
  friend Vec exp(Vec a) { return xsimd::exp(a.v); }
  friend Vec log(Vec a) { return xsimd::log(a.v); }
  friend Vec sqrt(Vec a) { return xsimd::sqrt(a.v); }
  friend Vec tanh(Vec a) { return xsimd::tanh(a.v); }
  friend Vec erf(Vec a) { return xsimd::erf(a.v); }
  friend Vec sin(Vec a) { return xsimd::sin(a.v); }
  friend Vec cos(Vec a) { return xsimd::cos(a.v); }
  friend Vec abs(Vec a) { return xsimd::abs(a.v); }
  friend Vec log1p(Vec a) { return xsimd::log1p(a.v); }
  friend Vec expm1(Vec a) { return xsimd::expm1(a.v); }
  // b where a < b, else a: a NaN in `a` is kept, one in `b` is lost. Explicit, since the max of
  // xsimd's versions differs here.
  friend Vec max_keep(Vec a, Vec b) { return xsimd::select(a.v < b.v, b.v, a.v); }
  friend Vec min_keep(Vec a, Vec b) { return xsimd::select(b.v < a.v, b.v, a.v); }

  // The functions that elementwise rows call on vectors as on Tensors.
  friend Mask<T> less(Vec a, Vec b) { return {a.v < b.v}; }
  friend Mask<T> less_equal(Vec a, Vec b) { return {a.v <= b.v}; }
  friend Mask<T> greater(Vec a, Vec b) { return {b.v < a.v}; }
  friend Mask<T> greater_equal(Vec a, Vec b) { return {b.v <= a.v}; }
  friend Vec where(Mask<T> c, Vec a, Vec b) { return xsimd::select(c.m, a.v, b.v); }
  friend Vec one_where(Mask<T> c, Vec) { return xsimd::select(c.m, Batch(T(1)), Batch(T(0))); }
  friend Vec clamp(Vec x, Vec low, Vec high) { return min_keep(max_keep(x, low), high); }
  friend Vec sign(Vec x) { return one_where(greater(x, 0.0), x) - one_where(less(x, 0.0), x); }
  friend Vec sigmoid(Vec x) { return 1.0 / (1.0 + exp(-x)); }

  friend Mask<T> operator<(Vec a, Vec b) { return {a.v < b.v}; }
  friend Mask<T> operator<=(Vec a, Vec b) { return {a.v <= b.v}; }
  friend Mask<T> operator>(Vec a, Vec b) { return {b.v < a.v}; }
  friend Mask<T> operator>=(Vec a, Vec b) { return {b.v <= a.v}; }
  friend Mask<T> operator==(Vec a, Vec b) { return {a.v == b.v}; }
  friend Mask<T> operator!=(Vec a, Vec b) { return {a.v != b.v}; }

  T sum() const {
    alignas(64) T buffer[width];
    v.store_aligned(buffer);
    for (int64_t n = width / 2; n > 0; n /= 2)
      for (int64_t i = 0; i < n; ++i) buffer[i] += buffer[i + n];
    return buffer[0];
  }
  T largest() const {
    alignas(64) T buffer[width];
    v.store_aligned(buffer);
    T best = buffer[0];
    for (int64_t i = 1; i < width; ++i) best = best < buffer[i] ? buffer[i] : best;
    return best;
  }
};

template <class T>
struct Mask {
  typename Vec<T>::Batch::batch_bool_type m;
  friend Mask operator&(Mask a, Mask b) { return {a.m & b.m}; }
  friend Mask operator|(Mask a, Mask b) { return {a.m | b.m}; }
  friend Mask operator!(Mask a) { return {!a.m}; }
  void store(bool* p, int64_t n) const {
    alignas(64) bool buffer[Vec<T>::width];
    m.store_unaligned(buffer);
    for (int64_t i = 0; i < Vec<T>::width; ++i)
      if (i < n) p[i] = buffer[i];
  }
};

template <class T>
Vec<T> select(Mask<T> condition, Vec<T> a, Vec<T> b) {
  return xsimd::select(condition.m, a.v, b.v);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
