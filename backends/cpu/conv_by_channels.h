// A convolution whose vectors hold channels of the result at one place: a packed element, the same
// in all lanes, times a vector of weights. No lane is lost to the margins of rows, however small a
// map is. For at least a vector of channels (conv_by_places.h is for fewer).
#pragma once

#include <algorithm>

#include <heed/backends/cpu/conv_pack.h>
#include <heed/backends/cpu/conv_store.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/transpose.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Channels are taken two vectors at a time; the last panel may have one. A tile of results, some
// places x those vectors, stays in registers over all terms; kChunk places are finished together.
#if defined(__AVX512F__)
constexpr int64_t tile_places(int) { return 8; }
#else
constexpr int64_t tile_places(int vecs) { return vecs == 2 ? 6 : 8; }
#endif
constexpr int64_t kMostPlaces = 8, kChunk = 48;

template <class T>
struct ChannelTile {
  int64_t terms;
  const int64_t* offset;        // [terms]
  const T* panel;               // [1 + terms, lanes]: the bias, then weights
  const T* place[kMostPlaces];  // the packed element of each place
  T* out;                       // [places, lanes]
};

template <class T, int vecs>
__attribute__((noinline)) void tile(const ChannelTile<T>& a) {
  constexpr int64_t w = Vec<T>::width;
  constexpr int64_t places = tile_places(vecs);
  Vec<T> sum[places][vecs];
  const T* weights = a.panel;
  const T* place[places];
#pragma GCC unroll 8
  for (int64_t p = 0; p < places; ++p) {
    place[p] = a.place[p];
#pragma GCC unroll 2
    for (int v = 0; v < vecs; ++v) sum[p][v] = Vec<T>::load(weights + v * w);
  }
  for (const int64_t *offset = a.offset, *end = offset + a.terms; offset != end; ++offset) {
    weights += vecs * w;
    const int64_t o = *offset;
    Vec<T> right[vecs];
#pragma GCC unroll 2
    for (int v = 0; v < vecs; ++v) right[v] = Vec<T>::load(weights + v * w);
#pragma GCC unroll 8
    for (int64_t p = 0; p < places; ++p) {
      const Vec<T> left = typename Vec<T>::Batch(place[p][o]);
#pragma GCC unroll 2
      for (int v = 0; v < vecs; ++v) sum[p][v] = fma(left, right[v], sum[p][v]);
    }
  }
#pragma GCC unroll 8
  for (int64_t p = 0; p < places; ++p)
#pragma GCC unroll 2
    for (int v = 0; v < vecs; ++v) sum[p][v].store(a.out + (p * vecs + v) * w);
}

template <class T>
class ConvolutionByChannels {
 public:
  ConvolutionByChannels(const ConvPlan& plan, const T* source, const ConvWeights<T>& weights,
                        const T* bias, T* out)
      : p_(plan),
        source_(source),
        weights_(weights),
        bias_(bias),
        out_(out),
        panels_(plan.request.result_channels),
        panel_rows_(1 + plan.terms) {}

  void run() const {
    const int64_t groups = p_.request.groups, count = groups * panels_.count();
    const int64_t bytes = groups * group_panels() * static_cast<int64_t>(sizeof(T));
    common::with_scratch(bytes, [&](char* memory) {
      T* panels = reinterpret_cast<T*>(memory);
      parallel_for(count, 1 + 4096 / panel_rows_, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          pack_panel(i / panels_.count(), i % panels_.count(), panels);
      });
      parallel_for(p_.tasks, 1, [&](int64_t begin, int64_t end) {
        const int64_t elements = p_.source_as_it_is ? 0 : p_.images * p_.packed;
        common::with_scratch(elements * static_cast<int64_t>(sizeof(T)), [&](char* packed) {
          for (int64_t i = begin; i < end; ++i)
            task(conv_task(p_, i), panels, reinterpret_cast<T*>(packed));
        });
      });
    });
  }

 private:
  int64_t group_panels() const { return panels_.all_lanes() * panel_rows_; }

  void pack_panel(int64_t group, int64_t i, T* panels) const {
    const int64_t lanes = panels_.lanes(i), used = panels_.used(i), first = panels_.before(i);
    T* to = panels + group * group_panels() + first * panel_rows_;
    if (used < lanes) std::fill(to, to + lanes * panel_rows_, T(0));
    for (int64_t l = 0; l < used; ++l)
      to[l] = bias_ ? bias_[group * panels_.channels + first + l] : T(0);
    to += lanes;
    const T* from = weights_.data + group * weights_.group + first * weights_.row;
    if (p_.taps_in_order && weights_.channel == p_.taps)
      return transpose(from, weights_.row, used, p_.terms, to, lanes);
    for (int64_t c = 0; c < p_.request.source_channels; ++c)
      for (int64_t l = 0; l < used; ++l)
        for (int64_t t = 0; t < p_.taps; ++t)
          to[(c * p_.taps + t) * lanes + l] =
              from[l * weights_.row + c * weights_.channel + p_.tap[t]];
  }

  // Places of one or several images, and the runs that they fall into (ConvPlaces).
  struct Chunk {
    int64_t count, runs;
    const T* source[kChunk];  // the packed element of each place
    T* target[kChunk];        // where each run begins in the plane of channel 0
    int64_t length[kChunk];   // of each run
  };

  void task(const ConvTask& t, const T* panels, T* packed) const {
    const PackedImages<T> images = packed_images(p_, t, source_, packed);
    const ConvPlaces& list = places_of(p_, t);
    const int64_t all = t.images * list.count;
    Chunk chunk;
    int64_t image = 0, at = 0;
    for (int64_t done = 0; done < all; done += chunk.count) {
      chunk.count = std::min(all - done, kChunk);
      chunk.runs = 0;
      for (int64_t i = 0; i < chunk.count;) {
        const int64_t n = std::min(chunk.count - i, list.run - at % list.run);
        const T* source = images.first + image * images.next;
        for (int64_t k = 0; k < n; ++k) chunk.source[i + k] = source + list.source[at + k];
        chunk.target[chunk.runs] =
            out_ + result_plane(p_, t, t.first_image + image) + block_place(p_, t) + list.place[at];
        chunk.length[chunk.runs++] = n;
        i += n;
        at += n;
        if (at == list.count) at = 0, ++image;
      }
      for (int64_t i = 0; i < panels_.count(); ++i)
        chunk_of_panel(chunk, panels + t.group * group_panels(), i, list.step);
    }
  }

  template <int vecs>
  static void tiles(const Chunk& chunk, ChannelTile<T> a) {
    constexpr int64_t places = tile_places(vecs);
    static_assert(kChunk % places == 0);
    for (int64_t n = 0; n < chunk.count; n += places, a.out += places * vecs * Vec<T>::width) {
      for (int64_t k = 0; k < places; ++k)  // of a rest, the last place again
        a.place[k] = chunk.source[std::min(n + k, chunk.count - 1)];
      tile<T, vecs>(a);
    }
  }

  void chunk_of_panel(const Chunk& chunk, const T* panels, int64_t i, int64_t step) const {
    alignas(64) T results[kChunk * ChannelPanels<T>::width],
        planes[ChannelPanels<T>::width * kChunk];
    const int64_t lanes = panels_.lanes(i), used = panels_.used(i), first = panels_.before(i);
    ChannelTile<T> a{p_.terms, p_.offset, panels + first * panel_rows_, {}, results};
    if (lanes == Vec<T>::width) tiles<1>(chunk, a);
    else tiles<2>(chunk, a);
    transpose(results, lanes, chunk.count, used, planes, kChunk);
    for (int64_t c = 0; c < used; ++c) {
      const T* from = planes + c * kChunk;
      const int64_t plane = (first + c) * p_.channel;
      for (int64_t k = 0, n = 0; k < chunk.runs; n += chunk.length[k++])
        store_run(from + n, chunk.length[k], step, chunk.target[k] + plane);
    }
  }

  const ConvPlan& p_;
  const T* source_;
  ConvWeights<T> weights_;
  const T* bias_;
  T* out_;
  ChannelPanels<T> panels_;
  int64_t panel_rows_;  // of a panel: the bias and the terms
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
