// The gradient by weight of a convolution whose vectors hold channels of the result (conv_plan.h).
#pragma once

#include <algorithm>

#include <heed/backends/cpu/conv_pack.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/transpose.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// dweight[term, o] = sum over images and places of packed[place + offset of the term] *
// cotangent[place, o]. A tile, some terms x one or two vectors of channels, is summed in registers
// over a stretch of at most kStretch places; such sums are added in double.
#if defined(__AVX512F__)
constexpr int tile_terms(int) { return 9; }
#else
constexpr int tile_terms(int vecs) { return vecs == 2 ? 6 : 9; }
#endif
constexpr int64_t kStretch = 512;

template <class T>
struct ChannelWeightTile {
  const int32_t* source;  // [places]
  int64_t places, images;
  const T* packed;  // + image * packed_image + source + offset
  int64_t packed_image;
  const int64_t* offset;  // of the terms
  const T* cotangent;     // [images, places, lanes]
  double* out;            // [terms, lanes]
};

template <class T, int vecs, int terms>
__attribute__((noinline)) void tile(const ChannelWeightTile<T>& a) {
  constexpr int64_t w = Vec<T>::width;
  Vec<T> sum[terms][vecs];
  const T* packed[terms];
#pragma GCC unroll 9
  for (int n = 0; n < terms; ++n) {
    packed[n] = a.packed + a.offset[n];
#pragma GCC unroll 2
    for (int v = 0; v < vecs; ++v) sum[n][v] = Vec<T>(0.0);
  }
  const T* g = a.cotangent;
  for (int64_t image = 0; image < a.images; ++image) {
    for (const int32_t *source = a.source, *end = source + a.places; source != end; ++source) {
      const int64_t s = *source;
      Vec<T> right[vecs];
#pragma GCC unroll 2
      for (int v = 0; v < vecs; ++v) right[v] = Vec<T>::load(g + v * w);
#pragma GCC unroll 9
      for (int n = 0; n < terms; ++n) {
        const Vec<T> left = typename Vec<T>::Batch(packed[n][s]);
#pragma GCC unroll 2
        for (int v = 0; v < vecs; ++v) sum[n][v] = fma(left, right[v], sum[n][v]);
      }
      g += vecs * w;
    }
#pragma GCC unroll 9
    for (int n = 0; n < terms; ++n) packed[n] += a.packed_image;
  }
  alignas(64) T sums[vecs * w];
#pragma GCC unroll 9
  for (int n = 0; n < terms; ++n) {
#pragma GCC unroll 2
    for (int v = 0; v < vecs; ++v) sum[n][v].store(sums + v * w);
    for (int64_t l = 0; l < vecs * w; ++l) a.out[n * vecs * w + l] += static_cast<double>(sums[l]);
  }
}

template <class T, int vecs>
void tiles(ChannelWeightTile<T> a, int64_t terms) {
  auto next = [&](int64_t n) {
    a.offset += n;
    a.out += n * vecs * Vec<T>::width;
    terms -= n;
  };
  constexpr int most = tile_terms(vecs);
  for (; terms >= most; next(most)) tile<T, vecs, most>(a);
  for (; terms >= 3; next(3)) tile<T, vecs, 3>(a);
  for (; terms >= 1; next(1)) tile<T, vecs, 1>(a);
}

template <class T>
class WeightGradientByChannels {
 public:
  WeightGradientByChannels(const ConvPlan& plan, const T* x, const T* cotangent)
      : p_(plan), x_(x), cotangent_(cotangent), panels_(plan.request.result_channels) {}

  // out: [groups, channels, terms].
  void run(T* out) const {
    const int64_t size = p_.request.groups * panels_.all_lanes() * p_.terms;
    const int64_t threads = num_threads(), pieces = p_.tasks < threads ? p_.tasks : threads;
    common::with_scratch(pieces * size * 8, [&](char* memory) {
      double* sums = reinterpret_cast<double*>(memory);
      parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          piece(p_.tasks * i / pieces, p_.tasks * (i + 1) / pieces, sums + i * size);
      });
      const int64_t panels = p_.request.groups * panels_.count();
      parallel_for(panels, 1 + 4096 / p_.terms, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          add_pieces(i / panels_.count(), i % panels_.count(), sums, pieces, size, out);
      });
    });
  }

 private:
  void piece(int64_t begin, int64_t end, double* sums) const {
    std::fill(sums, sums + p_.request.groups * panels_.all_lanes() * p_.terms, 0.0);
    const int64_t packed_elements = p_.source_as_it_is ? 0 : p_.images * p_.packed;
    const int64_t elements = packed_elements + kStretch * ChannelPanels<T>::width;
    common::with_scratch(elements * static_cast<int64_t>(sizeof(T)), [&](char* memory) {
      T* packed = reinterpret_cast<T*>(memory);
      for (int64_t i = begin; i < end; ++i)
        task(conv_task(p_, i), packed, packed + packed_elements, sums);
    });
  }

  void task(const ConvTask& t, T* packed, T* cotangent, double* sums) const {
    const ConvPlaces& list = places_of(p_, t);
    const PackedImages<T> images = packed_images(p_, t, x_, packed);
    // A stretch: some images, or a part of the places of one.
    const int64_t most = std::max<int64_t>(1, kStretch / list.count);
    for (int64_t first = 0; first < t.images; first += most)
      for (int64_t at = 0; at < list.count; at += kStretch)
        stretch(t, images, first, std::min(most, t.images - first), at,
                std::min(kStretch, list.count - at), cotangent, sums);
  }

  // Of `count` images from `first`, `places` places from `at`.
  void stretch(const ConvTask& t, const PackedImages<T>& images, int64_t first, int64_t count,
               int64_t at, int64_t places, T* cotangent, double* sums) const {
    ChannelWeightTile<T> a{places_of(p_, t).source + at,
                           places,
                           count,
                           images.first + first * images.next,
                           images.next,
                           p_.offset,
                           cotangent,
                           nullptr};
    for (int64_t i = 0; i < panels_.count(); ++i) {
      const int64_t lanes = panels_.lanes(i), used = panels_.used(i), o = panels_.before(i);
      if (used < lanes) std::fill(cotangent, cotangent + count * places * lanes, T(0));
      for (int64_t k = 0; k < count; ++k) {
        const T* plane = cotangent_ + result_plane(p_, t, t.first_image + first + k) +
                         block_place(p_, t) + o * p_.channel;
        transpose(plane + at, p_.channel, used, places, cotangent + k * places * lanes, lanes);
      }
      a.out = sums + (t.group * panels_.all_lanes() + o) * p_.terms;
      if (lanes == Vec<T>::width) tiles<T, 1>(a, p_.terms);
      else tiles<T, 2>(a, p_.terms);
    }
  }

  // One panel's sums of all pieces, [terms, lanes] each, to its channels.
  void add_pieces(int64_t group, int64_t i, const double* sums, int64_t pieces, int64_t size,
                  T* out) const {
    const int64_t lanes = panels_.lanes(i), used = panels_.used(i), o = panels_.before(i);
    const double* from = sums + (group * panels_.all_lanes() + o) * p_.terms;
    T* to = out + (group * panels_.channels + o) * p_.terms;
    for (int64_t term = 0; term < p_.terms; ++term)
      for (int64_t l = 0; l < used; ++l) {
        double total = 0;
        for (int64_t k = 0; k < pieces; ++k) total += from[k * size + term * lanes + l];
        to[l * p_.terms + term] = static_cast<T>(total);
      }
  }

  const ConvPlan& p_;
  const T *x_, *cotangent_;
  ChannelPanels<T> panels_;
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
