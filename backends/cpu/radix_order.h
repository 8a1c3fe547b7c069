// Floating numbers in rising order with their places, by counting digits from the lowest up: time
// O(n), stable, no comparison. NaN comes last, whatever its sign.
#pragma once

#include <cstdint>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
struct RadixBits;
template <>
struct RadixBits<float> {
  using Key = uint32_t;
};
template <>
struct RadixBits<double> {
  using Key = uint64_t;
};

// A number as an unsigned integer that is larger where the number is larger.
template <class T>
struct Ranked {
  using Key = typename RadixBits<T>::Key;
  static constexpr Key kSign = Key(1) << (8 * sizeof(Key) - 1);
  Key key;
  uint32_t place;

  static Ranked of(T x, int64_t at) {
    Key bits;
    __builtin_memcpy(&bits, &x, sizeof bits);
    bits = x != x ? ~Key(0) : bits & kSign ? ~bits : bits | kSign;
    return {bits, static_cast<uint32_t>(at)};
  }
  T value() const {
    Key bits = key & kSign ? key & ~kSign : ~key;
    T x;
    __builtin_memcpy(&x, &bits, sizeof x);
    return x;
  }
};

// Sorts x into `out`; `other` has room for n as well.
template <class T>
void radix_order(const T* x, int64_t n, Ranked<T>* out, Ranked<T>* other) {
  using Key = typename Ranked<T>::Key;
  constexpr int kDigit = 11, kBins = 1 << kDigit;
  constexpr int kPasses = (8 * static_cast<int>(sizeof(Key)) + kDigit - 1) / kDigit;
  int64_t first[kPasses][kBins] = {};
  // After an even number of passes the result is where it started.
  Ranked<T>*from = kPasses % 2 ? other : out, *to = kPasses % 2 ? out : other;
  for (int64_t i = 0; i < n; ++i) {
    from[i] = Ranked<T>::of(x[i], i);
    for (int p = 0; p < kPasses; ++p) ++first[p][from[i].key >> (p * kDigit) & (kBins - 1)];
  }
  for (int p = 0; p < kPasses; ++p) {
    int64_t before = 0;
    for (int64_t& bin : first[p]) {
      const int64_t count = bin;
      bin = before;
      before += count;
    }
    for (int64_t i = 0; i < n; ++i)
      to[first[p][from[i].key >> (p * kDigit) & (kBins - 1)]++] = from[i];
    Ranked<T>* last = from;
    from = to, to = last;
  }
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
