// Products of small tiles in cache: C [M x N] = A [M x K] B [K x N]. A block of C, rows x kVecs
// vectors, stays in registers over all of K. Each step loads kVecs vectors of B and broadcasts
// `rows` elements of A, which may therefore be stored by rows or by columns, with any stride.
#pragma once

#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

#if defined(__GNUC__)
#define HEED_INLINE inline __attribute__((always_inline))
#else
#define HEED_INLINE inline
#endif

// What happens to the values already in C.
enum class Into { overwrite, add, rescale };  // rescale: C = C * factor[column] + A B

// A's element (m, k) is a[m * stride + k], or a[k * stride + m] in columns.
enum class Layout { rows, columns };

template <class T>
struct ProductArgs {
  int64_t k;
  const T* a;
  int64_t a_stride;
  const T* b;
  int64_t b_stride;
  T* c;
  int64_t c_stride;
  Into into;
  const T* factor;
};

template <class T, Layout layout, int kRows, int kVecs>
__attribute__((noinline)) void product_block(const ProductArgs<T>& p) {
  constexpr int64_t w = Vec<T>::width;
  Vec<T> sum[kRows][kVecs];
  T* c = p.c;
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < kVecs; ++n) sum[r][n] = Vec<T>(0.0);
  if (p.into == Into::add) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int n = 0; n < kVecs; ++n) sum[r][n] = Vec<T>::load(c + r * p.c_stride + n * w);
  } else if (p.into == Into::rescale) {
#pragma GCC unroll 16
    for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
      for (int n = 0; n < kVecs; ++n)
        sum[r][n] = Vec<T>::load(c + r * p.c_stride + n * w) * Vec<T>::load(p.factor + n * w);
  }
  const T* b = p.b;
  const int64_t b_stride = p.b_stride, s = p.a_stride;
  if constexpr (layout == Layout::columns) {
    const T* a = p.a;
    for (int64_t k = p.k; k > 0; --k) {
      Vec<T> right[kVecs];
#pragma GCC unroll 4
      for (int n = 0; n < kVecs; ++n) right[n] = Vec<T>::load(b + n * w);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        Vec<T> left = Vec<T>(typename Vec<T>::Batch(a[r]));
#pragma GCC unroll 4
        for (int n = 0; n < kVecs; ++n) sum[r][n] = fma(left, right[n], sum[r][n]);
      }
      a += s;
      b += b_stride;
    }
  } else {
    // One pointer for three rows, so that all addresses fit into registers.
    constexpr int kPointers = (kRows + 2) / 3;
    const T* a[kPointers];
#pragma GCC unroll 6
    for (int g = 0; g < kPointers; ++g) a[g] = p.a + 3 * g * s;
    for (int64_t k = 0; k < p.k; ++k) {
      Vec<T> right[kVecs];
#pragma GCC unroll 4
      for (int n = 0; n < kVecs; ++n) right[n] = Vec<T>::load(b + n * w);
#pragma GCC unroll 16
      for (int r = 0; r < kRows; ++r) {
        Vec<T> left = Vec<T>(typename Vec<T>::Batch(a[r / 3][(r % 3) * s]));
#pragma GCC unroll 4
        for (int n = 0; n < kVecs; ++n) sum[r][n] = fma(left, right[n], sum[r][n]);
      }
#pragma GCC unroll 6
      for (int g = 0; g < kPointers; ++g) ++a[g];
      b += b_stride;
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < kVecs; ++n) sum[r][n].store(c + r * p.c_stride + n * w);
}

// All rows, in blocks of kRows and then of halves of it.
template <class T, Layout layout, int kRows, int kVecs>
HEED_INLINE void product_rows(ProductArgs<T> p, int64_t m) {
  for (; m >= kRows; m -= kRows) {
    product_block<T, layout, kRows, kVecs>(p);
    p.a += layout == Layout::rows ? kRows * p.a_stride : kRows;
    p.c += kRows * p.c_stride;
  }
  if constexpr (kRows > 1) {
    if (m > 0) product_rows<T, layout, (kRows > 4 ? 4 : kRows / 2), kVecs>(p, m);
  }
}

template <class T, Layout layout, int kRows, int kVecs>
HEED_INLINE void product_columns(ProductArgs<T>& p, int64_t m, int64_t& n) {
  constexpr int64_t step = kVecs * Vec<T>::width;
  for (; n >= step; n -= step) {
    product_rows<T, layout, kRows, kVecs>(p, m);
    p.b += step;
    p.c += step;
    if (p.factor) p.factor += step;
  }
}

// n is a multiple of Vec<T>::width.
template <class T, Layout layout>
__attribute__((noinline)) void product(int64_t m, int64_t n, ProductArgs<T> p) {
#if defined(__AVX512F__)  // 32 registers
  product_columns<T, layout, 6, 4>(p, m, n);
  product_columns<T, layout, 12, 2>(p, m, n);
  product_columns<T, layout, 12, 1>(p, m, n);
#else  // 16
  product_columns<T, layout, 6, 2>(p, m, n);
  product_columns<T, layout, 8, 1>(p, m, n);
#endif
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
