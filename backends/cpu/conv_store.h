// How results leave a convolution's buffer for their places, side by side or, in the gradient by a
// strided convolution's input, some steps apart.
#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <heed/backends/cpu/vectors.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A vector's elements to every second element of to[0, 2 width), the first to to[odd]; what lies
// between them is read and written again.
template <class T, int odd>
inline void store_every_second(Vec<T> x, T* to) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i low = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
    const __m512i high = _mm512_add_epi32(low, _mm512_set1_epi32(8));
    const __mmask16 own = odd ? 0xaaaa : 0x5555;
    _mm512_mask_storeu_ps(to, own, _mm512_permutexvar_ps(low, x.v));
    _mm512_mask_storeu_ps(to + 16, own, _mm512_permutexvar_ps(high, x.v));
    return;
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i low = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    const __m256i high = _mm256_setr_epi32(4, 4, 5, 5, 6, 6, 7, 7);
    constexpr int own = odd ? 0xaa : 0x55;
    const __m256 a = _mm256_permutevar8x32_ps(x.v, low), b = _mm256_permutevar8x32_ps(x.v, high);
    _mm256_storeu_ps(to, _mm256_blend_ps(_mm256_loadu_ps(to), a, own));
    _mm256_storeu_ps(to + 8, _mm256_blend_ps(_mm256_loadu_ps(to + 8), b, own));
    return;
  }
#endif
  alignas(64) T buffer[Vec<T>::width];
  x.store(buffer);
  for (int64_t i = 0; i < Vec<T>::width; ++i) to[2 * i + odd] = buffer[i];
}

// `count` elements to places `step` apart, nothing before the first or beyond the last of them. The
// last vector may write again what the one before it wrote.
template <class T>
inline void store_run(const T* from, int64_t count, int64_t step, T* to) {
  constexpr int64_t w = Vec<T>::width;
  if (step == 1 && count >= w) {
    for (int64_t i = 0; i + w < count; i += w) Vec<T>::load(from + i).store(to + i);
    Vec<T>::load(from + count - w).store(to + count - w);
  } else if (step == 2 && count > w) {
    for (int64_t i = 0; i + w < count; i += w)
      store_every_second<T, 0>(Vec<T>::load(from + i), to + 2 * i);
    store_every_second<T, 1>(Vec<T>::load(from + count - w), to + 2 * (count - w) - 1);
  } else {
    for (int64_t i = 0; i < count; ++i) to[i * step] = from[i];
  }
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
