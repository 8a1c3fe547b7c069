// Philox4x32-10 in vectors: the same bits as core/random.h's philox() at every level. Numbers are
// indexed by element: element i of a call is lane i % 4 of the block offset + i / 4.
//
//   keep_scales(out, n, key, first, p):
//       out[i] = 0 where element first + i is dropped, else 1 / (1 - p)
//
// Blocks occupy the 64-bit lanes of a vector, their four words the lower halves of four vectors.
// Then one multiplication of 32 by 32 bits gives both halves of the product in place, and the next
// multiplication ignores what is left in the upper halves.
#pragma once

#include <cstdint>

#if defined(__SSE2__)
#include <immintrin.h>
#endif

#include <heed/core/random.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

#if defined(__AVX512F__)
struct Blocks {
  static constexpr int64_t count = 8;
  __m512i v;
  static Blocks all(uint64_t x) { return {_mm512_set1_epi64(static_cast<long long>(x))}; }
  // first + 0, 4, 1, 5, 2, 6, 3, 7: interleaving pairs then puts the blocks in order.
  static Blocks counters(uint64_t first) {
    return {_mm512_add_epi64(all(first).v, _mm512_setr_epi64(0, 4, 1, 5, 2, 6, 3, 7))};
  }
  Blocks high() const { return {_mm512_srli_epi64(v, 32)}; }
  Blocks times(Blocks m) const { return {_mm512_mul_epu32(v, m.v)}; }
  static Blocks xor3(Blocks a, Blocks b, Blocks c) {
    return {_mm512_ternarylogic_epi64(a.v, b.v, c.v, 0x96)};
  }
  static void store(Blocks a, Blocks b, Blocks c, Blocks d, uint32_t* out) {
    __m512i ab = _mm512_mask_shuffle_epi32(a.v, 0xAAAA, b.v, _MM_PERM_CCAA);
    __m512i cd = _mm512_mask_shuffle_epi32(c.v, 0xAAAA, d.v, _MM_PERM_CCAA);
    _mm512_storeu_si512(out, _mm512_unpacklo_epi64(ab, cd));
    _mm512_storeu_si512(out + 16, _mm512_unpackhi_epi64(ab, cd));
  }
};
#elif defined(__AVX2__)
struct Blocks {
  static constexpr int64_t count = 4;
  __m256i v;
  static Blocks all(uint64_t x) { return {_mm256_set1_epi64x(static_cast<long long>(x))}; }
  static Blocks counters(uint64_t first) {
    return {_mm256_add_epi64(all(first).v, _mm256_setr_epi64x(0, 2, 1, 3))};
  }
  Blocks high() const { return {_mm256_srli_epi64(v, 32)}; }
  Blocks times(Blocks m) const { return {_mm256_mul_epu32(v, m.v)}; }
  static Blocks xor3(Blocks a, Blocks b, Blocks c) {
    return {_mm256_xor_si256(_mm256_xor_si256(b.v, c.v), a.v)};
  }
  static void store(Blocks a, Blocks b, Blocks c, Blocks d, uint32_t* out) {
    __m256i ab = _mm256_blend_epi32(a.v, _mm256_slli_epi64(b.v, 32), 0xAA);
    __m256i cd = _mm256_blend_epi32(c.v, _mm256_slli_epi64(d.v, 32), 0xAA);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), _mm256_unpacklo_epi64(ab, cd));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + 8), _mm256_unpackhi_epi64(ab, cd));
  }
};
#elif defined(__SSE2__)
struct Blocks {
  static constexpr int64_t count = 2;
  __m128i v;
  static Blocks all(uint64_t x) { return {_mm_set1_epi64x(static_cast<long long>(x))}; }
  static Blocks counters(uint64_t first) {
    return {_mm_add_epi64(all(first).v, _mm_set_epi64x(1, 0))};
  }
  Blocks high() const { return {_mm_srli_epi64(v, 32)}; }
  Blocks times(Blocks m) const { return {_mm_mul_epu32(v, m.v)}; }
  static Blocks xor3(Blocks a, Blocks b, Blocks c) {
    return {_mm_xor_si128(_mm_xor_si128(b.v, c.v), a.v)};
  }
  static void store(Blocks a, Blocks b, Blocks c, Blocks d, uint32_t* out) {
    __m128i low = _mm_set1_epi64x(0xFFFFFFFF);
    __m128i ab = _mm_or_si128(_mm_and_si128(a.v, low), _mm_slli_epi64(b.v, 32));
    __m128i cd = _mm_or_si128(_mm_and_si128(c.v, low), _mm_slli_epi64(d.v, 32));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_unpacklo_epi64(ab, cd));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4), _mm_unpackhi_epi64(ab, cd));
  }
};
#else
struct Blocks {
  static constexpr int64_t count = 1;
  uint64_t v;
  static Blocks all(uint64_t x) { return {x}; }
  static Blocks counters(uint64_t first) { return {first}; }
  Blocks high() const { return {v >> 32}; }
  Blocks times(Blocks m) const { return {(v & 0xFFFFFFFF) * (m.v & 0xFFFFFFFF)}; }
  static Blocks xor3(Blocks a, Blocks b, Blocks c) { return {a.v ^ b.v ^ c.v}; }
  static void store(Blocks a, Blocks b, Blocks c, Blocks d, uint32_t* out) {
    const Blocks words[4] = {a, b, c, d};
    for (int i = 0; i < 4; ++i) out[i] = static_cast<uint32_t>(words[i].v);
  }
};
#endif

class PhiloxStream {
 public:
  static constexpr int64_t kNumbers = 4 * Blocks::count;  // of one `batch`

  explicit PhiloxStream(RandomKey key) : offset_(key.offset) {
    auto k0 = static_cast<uint32_t>(key.seed), k1 = static_cast<uint32_t>(key.seed >> 32);
    for (int round = 0; round < 10; ++round) {
      key0_[round] = k0;
      key1_[round] = k1;
      k0 += 0x9E3779B9;
      k1 += 0xBB67AE85;
    }
  }

  // Numbers of elements [4 block, 4 block + kNumbers).
  void batch(uint64_t block, uint32_t* out) const {
    const Blocks m0 = Blocks::all(0xD2511F53), m1 = Blocks::all(0xCD9E8D57);
    Blocks counter = Blocks::counters(offset_ + block);
    // The first two rounds know that words 2 and 3 start as 0.
    Blocks a = counter.times(m0), zero = Blocks::all(0);
    Blocks c0 = Blocks::xor3(counter.high(), Blocks::all(key0_[0]), zero), c1 = zero;
    Blocks c2 = Blocks::xor3(a.high(), Blocks::all(key1_[0]), zero), c3 = a;
    for (int round = 1; round < 10; ++round) {
      a = c0.times(m0);
      Blocks b = c2.times(m1);
      c0 = Blocks::xor3(b.high(), c1, Blocks::all(key0_[round]));
      c2 = Blocks::xor3(a.high(), c3, Blocks::all(key1_[round]));
      c1 = b;
      c3 = a;
    }
    Blocks::store(c0, c1, c2, c3, out);
  }

  // out[i] = the number of element first + i.
  void numbers(uint64_t first, int64_t n, uint32_t* out) const {
    uint32_t part[kNumbers];
    if (int64_t lane = static_cast<int64_t>(first % 4); lane != 0 && n > 0) {
      batch(first / 4, part);
      int64_t count = kNumbers - lane < n ? kNumbers - lane : n;
      for (int64_t i = 0; i < count; ++i) out[i] = part[lane + i];
      first += static_cast<uint64_t>(count);
      out += count;
      n -= count;
    }
    for (; n >= kNumbers; n -= kNumbers, out += kNumbers, first += kNumbers) batch(first / 4, out);
    if (n > 0) {
      batch(first / 4, part);
      for (int64_t i = 0; i < n; ++i) out[i] = part[i];
    }
  }

 private:
  uint64_t offset_;
  uint64_t key0_[10], key1_[10];
};

// Dropped where uniform < p, uniform = (bits >> 8) 2^-24: where bits >> 8 < threshold.
inline int32_t drop_threshold(double p) { return static_cast<int32_t>(__builtin_ceil(p * 0x1p24)); }

template <class T>
inline void keep_scales(T* out, int64_t n, const PhiloxStream& stream, uint64_t first, double p) {
  constexpr int64_t kChunk = 1024;
  uint32_t bits[kChunk];
  const int32_t threshold = drop_threshold(p);
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  for (int64_t done = 0; done < n; done += kChunk) {
    int64_t count = n - done < kChunk ? n - done : kChunk;
    stream.numbers(first + static_cast<uint64_t>(done), count, bits);
    for (int64_t i = 0; i < count; ++i)
      out[done + i] = static_cast<int32_t>(bits[i] >> 8) < threshold ? T(0) : scale;
  }
}
template <class T>
inline void keep_scales(T* out, int64_t n, RandomKey key, uint64_t first, double p) {
  keep_scales(out, n, PhiloxStream(key), first, p);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
