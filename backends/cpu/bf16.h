// bf16 in kernels: widened on load, rounded to nearest even on store. Kernels are written over the
// stored type S and compute in accumulate_t<S>; for other types these conversions do nothing.
#pragma once

#include <heed/backends/cpu/dispatch.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

template <class S>
inline accumulate_t<S> widened(S x) {
  if constexpr (__is_same(S, bfloat16))
    return __builtin_bit_cast(float, static_cast<uint32_t>(x.bits) << 16);
  else return x;
}

template <class S, class V>
inline S narrowed(V value) {
  if constexpr (__is_same(S, bfloat16)) {
    const auto x = static_cast<float>(value);
    const auto bits = __builtin_bit_cast(uint32_t, x);
    const uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    const uint32_t quiet = (bits >> 16) | 0x40;  // a NaN stays a NaN
    return {static_cast<uint16_t>(x != x ? quiet : rounded)};
  } else {
    return static_cast<S>(value);
  }
}

inline void widen(const bfloat16* from, int64_t n, float* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = widened(from[i]);
}
inline void narrow(const float* from, int64_t n, bfloat16* to) {
  for (int64_t i = 0; i < n; ++i) to[i] = narrowed<bfloat16>(from[i]);
}

// A row of S for code that is written over accumulate_t<S>: the row itself, or for bf16 a buffer of
// `size` elements that the caller owns, so that the code on rows is compiled once for both.
template <class S>
struct StagedRow {
  using T = accumulate_t<S>;
  T* buffer = nullptr;

  static constexpr bool staged = !__is_same(S, T);
  static int64_t bytes(int64_t size) { return staged ? size * static_cast<int64_t>(sizeof(T)) : 0; }
  // The row whose buffer follows this one's, of `size` elements.
  StagedRow next(int64_t size) const { return {staged ? buffer + size : nullptr}; }
  const T* read(const S* from, int64_t n) const {
    if constexpr (staged) {
      widen(from, n, buffer);
      return buffer;
    } else {
      return from;
    }
  }
  T* target(S* to) const {
    if constexpr (staged) return buffer;
    else return to;
  }
  void write(int64_t n, S* to) const {
    if constexpr (staged) narrow(buffer, n, to);
  }
};

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
