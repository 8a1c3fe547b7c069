// Transposition of small matrices in cache, by blocks in registers: element by element it would
// cost as much as the products around it.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A block of rows x columns: to[c * to_stride + r] = scale * from[r * from_stride + c].
template <class T>
struct TransposedBlock {
  static constexpr int64_t rows = 1, columns = 1;
  static void move(const T* from, int64_t, T* to, int64_t, T scale) { *to = *from * scale; }
};

#if defined(__AVX2__)
template <>
struct TransposedBlock<float> {
  static constexpr int64_t rows = 8, columns = 4;
  static void move(const float* from, int64_t f, float* to, int64_t t, float scale) {
    __m256 row[4];  // rows i and i + 4 side by side
    for (int64_t i = 0; i < 4; ++i)
      row[i] = _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(from + i * f)),
                                    _mm_loadu_ps(from + (i + 4) * f), 1);
    const __m256 factor = _mm256_set1_ps(scale);
    for (__m256& x : row) x = _mm256_mul_ps(x, factor);
    __m256 a = _mm256_unpacklo_ps(row[0], row[1]), b = _mm256_unpackhi_ps(row[0], row[1]);
    __m256 c = _mm256_unpacklo_ps(row[2], row[3]), d = _mm256_unpackhi_ps(row[2], row[3]);
    _mm256_storeu_ps(to, _mm256_shuffle_ps(a, c, 0x44));
    _mm256_storeu_ps(to + t, _mm256_shuffle_ps(a, c, 0xEE));
    _mm256_storeu_ps(to + 2 * t, _mm256_shuffle_ps(b, d, 0x44));
    _mm256_storeu_ps(to + 3 * t, _mm256_shuffle_ps(b, d, 0xEE));
  }
};
template <>
struct TransposedBlock<double> {
  static constexpr int64_t rows = 4, columns = 2;
  static void move(const double* from, int64_t f, double* to, int64_t t, double scale) {
    __m256d row[2];  // rows i and i + 2 side by side
    for (int64_t i = 0; i < 2; ++i)
      row[i] = _mm256_insertf128_pd(_mm256_castpd128_pd256(_mm_loadu_pd(from + i * f)),
                                    _mm_loadu_pd(from + (i + 2) * f), 1);
    const __m256d factor = _mm256_set1_pd(scale);
    for (__m256d& x : row) x = _mm256_mul_pd(x, factor);
    _mm256_storeu_pd(to, _mm256_unpacklo_pd(row[0], row[1]));
    _mm256_storeu_pd(to + t, _mm256_unpackhi_pd(row[0], row[1]));
  }
};
#elif defined(__SSE2__)
template <>
struct TransposedBlock<float> {
  static constexpr int64_t rows = 4, columns = 4;
  static void move(const float* from, int64_t f, float* to, int64_t t, float scale) {
    __m128 row[4];
    for (int64_t i = 0; i < 4; ++i)
      row[i] = _mm_mul_ps(_mm_loadu_ps(from + i * f), _mm_set1_ps(scale));
    _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
    for (int64_t i = 0; i < 4; ++i) _mm_storeu_ps(to + i * t, row[i]);
  }
};
#endif

// to[c * to_stride + r] = scale * from[r * from_stride + c] for r < rows, c < columns.
template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to,
               int64_t to_stride, T scale = T(1)) {
  using Block = TransposedBlock<T>;
  const int64_t whole_rows = rows / Block::rows * Block::rows;
  const int64_t whole_columns = columns / Block::columns * Block::columns;
  for (int64_t r = 0; r < whole_rows; r += Block::rows)
    for (int64_t c = 0; c < whole_columns; c += Block::columns)
      Block::move(from + r * from_stride + c, from_stride, to + c * to_stride + r, to_stride,
                  scale);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; ++c)
      to[c * to_stride + r] = from[r * from_stride + c] * scale;
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
