// Loops over a row in vectors, the remainder included: the body is written once.
//
//   each_vec<T>(n, [&](int64_t i, auto part) { store(out + i, load(x + i, part) * scale, part); });
#pragma once

#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

struct FullVec {};
struct PartVec { int64_t count; };

template <class T>
inline Vec<T> load(const T* p, FullVec, T = T(0)) { return Vec<T>::load(p); }
template <class T>
inline Vec<T> load(const T* p, PartVec part, T fill = T(0)) { return Vec<T>::load_part(p, part.count, fill); }
template <class T>
inline void store(T* p, Vec<T> v, FullVec) { v.store(p); }
template <class T>
inline void store(T* p, Vec<T> v, PartVec part) { v.store_part(p, part.count); }

template <class T, class F>
inline __attribute__((always_inline)) void each_vec(int64_t n, F&& f) {
  int64_t i = 0;
  for (; i + Vec<T>::width <= n; i += Vec<T>::width) f(i, FullVec{});
  if (i < n) f(i, PartVec{n - i});
}

// Adds many numbers: vectors of T for a short stretch, then double, so that the error does not grow
// with the length.
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
    total += static_cast<double>(part.sum());
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
  return best.largest();
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
