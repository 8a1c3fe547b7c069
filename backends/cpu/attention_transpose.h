// Transposition of small matrices in cache.
#pragma once

#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns.
template <class T>
void transpose(const T* from, int64_t from_stride, int64_t rows, int64_t columns, T* to,
               int64_t to_stride) {
  constexpr int64_t kBlock = 4;
  int64_t r = 0;
  for (; r + kBlock <= rows; r += kBlock)
    for (int64_t c = 0; c < columns; ++c)
      for (int64_t n = 0; n < kBlock; ++n)
        to[c * to_stride + r + n] = from[(r + n) * from_stride + c];
  for (; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) to[c * to_stride + r] = from[r * from_stride + c];
}

// The same, times scale[r].
template <class T>
void transpose_scaled(const T* from, int64_t from_stride, int64_t rows, int64_t columns,
                      const T* scale, T* to, int64_t to_stride) {
  for (int64_t c = 0; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) to[c * to_stride + r] = from[r * from_stride + c] * scale[r];
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
