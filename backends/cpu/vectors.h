// Loops over a row in vectors, remainder included: the body is written once.
//
//   each_vec<T>(n, [&](int64_t i, auto part) { store(out + i, load(x + i, part) * scale, part); });
//
// bf16 is loaded into vectors of f32 and rounded when it is stored.
#pragma once

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

struct FullVec {};
struct PartVec {
  int64_t count;
};

template <class T>
inline Vec<T> load(const T* p, FullVec, T = T(0)) {
  return Vec<T>::load(p);
}
template <class T>
inline void store(T* p, Vec<T> v, FullVec) {
  v.store(p);
}

inline Vec<float> load(const bfloat16* p, FullVec, float = 0) {
#if defined(__AVX512F__)
  const __m512i wide =
      _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  return Vec<float>::Batch(_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16)));
#elif defined(__AVX2__)
  const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return Vec<float>::Batch(_mm256_castsi256_ps(_mm256_slli_epi32(wide, 16)));
#else
  alignas(64) float buffer[Vec<float>::width];
  widen(p, Vec<float>::width, buffer);
  return Vec<float>::load(buffer);
#endif
}
// Through a buffer, which the compiler narrows with vectors.
inline void store(bfloat16* p, Vec<float> v, FullVec) {
  alignas(64) float buffer[Vec<float>::width];
  v.store(buffer);
  narrow(buffer, Vec<float>::width, p);
}
inline Vec<float> load(const bfloat16* p, PartVec part, float fill = 0) {
  alignas(64) float buffer[Vec<float>::width];
  for (int64_t i = 0; i < Vec<float>::width; ++i) buffer[i] = i < part.count ? widened(p[i]) : fill;
  return Vec<float>::load(buffer);
}
inline void store(bfloat16* p, Vec<float> v, PartVec part) {
  alignas(64) float buffer[Vec<float>::width];
  v.store(buffer);
  narrow(buffer, part.count, p);
}

// The remainder of a row. Short rows are mostly remainder, so masked loads are used where the level
// has them, and no buffer.
#if defined(__AVX512F__)
inline __mmask16 first16(PartVec part) { return static_cast<__mmask16>((1u << part.count) - 1); }
inline __mmask8 first8(PartVec part) { return static_cast<__mmask8>((1u << part.count) - 1); }
inline Vec<float> load(const float* p, PartVec part, float fill = 0) {
  return Vec<float>::Batch(_mm512_mask_loadu_ps(_mm512_set1_ps(fill), first16(part), p));
}
inline Vec<double> load(const double* p, PartVec part, double fill = 0) {
  return Vec<double>::Batch(_mm512_mask_loadu_pd(_mm512_set1_pd(fill), first8(part), p));
}
inline void store(float* p, Vec<float> v, PartVec part) {
  _mm512_mask_storeu_ps(p, first16(part), v.v);
}
inline void store(double* p, Vec<double> v, PartVec part) {
  _mm512_mask_storeu_pd(p, first8(part), v.v);
}
#elif defined(__AVX2__)
inline __m256i first8(PartVec part) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(part.count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
inline __m256i first4(PartVec part) {
  return _mm256_cmpgt_epi64(_mm256_set1_epi64x(part.count), _mm256_setr_epi64x(0, 1, 2, 3));
}
inline Vec<float> load(const float* p, PartVec part, float fill = 0) {
  __m256i mask = first8(part);
  return Vec<float>::Batch(_mm256_blendv_ps(_mm256_set1_ps(fill), _mm256_maskload_ps(p, mask),
                                            _mm256_castsi256_ps(mask)));
}
inline Vec<double> load(const double* p, PartVec part, double fill = 0) {
  __m256i mask = first4(part);
  return Vec<double>::Batch(_mm256_blendv_pd(_mm256_set1_pd(fill), _mm256_maskload_pd(p, mask),
                                             _mm256_castsi256_pd(mask)));
}
inline void store(float* p, Vec<float> v, PartVec part) {
  _mm256_maskstore_ps(p, first8(part), v.v);
}
inline void store(double* p, Vec<double> v, PartVec part) {
  _mm256_maskstore_pd(p, first4(part), v.v);
}
#else
template <class T>
inline Vec<T> load(const T* p, PartVec part, T fill = T(0)) {
  return Vec<T>::load_part(p, part.count, fill);
}
template <class T>
inline void store(T* p, Vec<T> v, PartVec part) {
  v.store_part(p, part.count);
}
#endif

// Reductions across the lanes. Whether lane_max ignores a NaN depends on the level.
#if defined(__AVX512F__)
inline float lane_sum(Vec<float> v) { return _mm512_reduce_add_ps(v.v); }
inline double lane_sum(Vec<double> v) { return _mm512_reduce_add_pd(v.v); }
inline float lane_max(Vec<float> v) { return _mm512_reduce_max_ps(v.v); }
inline double lane_max(Vec<double> v) { return _mm512_reduce_max_pd(v.v); }
#else
template <class T>
inline T lane_sum(Vec<T> v) {
  return v.sum();
}
template <class T>
inline T lane_max(Vec<T> v) {
  return v.largest();
}
#endif

template <class T, class F>
inline __attribute__((always_inline)) void each_vec(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) f(i, FullVec{});
  if (i < n) f(i, PartVec{n - i});
}

// Adds many numbers: in vectors of T for a short stretch, then in double, so that the error does
// not grow with the length.
template <class T>
struct LongSum {
  static constexpr int64_t kStretch = 32;
  Vec<T> part = 0.0;
  int64_t filled = 0;
  double total = 0;
  void add(Vec<T> v) {
    part += v;
    if (++filled == kStretch) flush();
  }
  void flush() {
    total += static_cast<double>(lane_sum(part));
    part = Vec<T>(0.0);
    filled = 0;
  }
  double value() {
    flush();
    return total;
  }
};

// max x_i, NaN ignored; -inf for an empty row.
template <class T>
inline T row_max(const T* x, int64_t n) {
  constexpr T lowest = -__builtin_inf();
  Vec<T> best = static_cast<double>(lowest);
  each_vec<T>(n, [&](int64_t i, auto part) { best = max_keep(best, load(x + i, part, lowest)); });
  return lane_max(best);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
