// Copies a task's operands to where a convolution's products read them (conv_plan.h).
#pragma once

#include <algorithm>

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <heed/backends/conv.h>
#include <heed/backends/cpu/conv_plan.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/core/array.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

using common::ConvPlaces;
using common::ConvPlan;
using common::ConvSteps;
using common::ConvTap;
using common::ConvTask;
using common::ConvVector;
using common::ConvVectors;

// The request of source [B, C, D, H, W] -> result [B, O, ..] by a kernel [.., .., KD, KH, KW].
template <class T>
common::ConvRequest conv_request(const Array& source, const Array& result, const Array& kernel,
                                 const ConvGeometry& g) {
  common::ConvRequest r{};
  for (int i = 0; i < 3; ++i)
    r.axis[i] = {source.dim(2 + i),
                 result.dim(2 + i),
                 kernel.dim(2 + i),
                 g.stride[i],
                 g.padding[i],
                 g.dilation[i],
                 -1};
  r.batch = source.dim(0);
  r.groups = g.groups;
  r.source_channels = source.dim(1) / g.groups;
  r.result_channels = result.dim(1) / g.groups;
  r.lanes = Vec<T>::width;
  r.by_channels = r.result_channels >= r.lanes;
  r.element_bytes = static_cast<int64_t>(sizeof(T));
  return r;
}

// Every second element of `from`, as many as a vector has; nothing beyond the last of them is read.
template <class T>
inline Vec<T> every_second(const T* from) {
#if defined(__AVX2__) && !defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m256 low = _mm256_loadu_ps(from), high = _mm256_loadu_ps(from + 7);
    const __m256 both = _mm256_shuffle_ps(low, high, 0xd8);  // 0 2 | 8 10 | 4 6 | 12 14
    return typename Vec<T>::Batch(
        _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(both), 0xd8)));
  }
#endif
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i index =
        _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 17, 19, 21, 23, 25, 27, 29, 31);
    return typename Vec<T>::Batch(
        _mm512_permutex2var_ps(_mm512_loadu_ps(from), index, _mm512_loadu_ps(from + 15)));
  }
#endif
  return Vec<T>::load_strided(from, 2, Vec<T>::width);
}

// Which elements of a packed row lie within the source's row: [begin, end); the others are 0.
struct ConvSpan {
  int64_t begin, end;
};
inline ConvSpan span_of(int64_t source, int64_t start, int64_t step, int64_t count) {
  auto steps = [&](int64_t n) { return n > 0 ? (n + step - 1) / step : 0; };
  const int64_t end = std::min(steps(source - start), count);
  return {std::min(steps(-start), end), end};
}

// One packed row of `count` elements, those of `span` from `from`, step by step. Up to a vector
// less one element is written beyond the row: rows are packed in order. Nothing is read at `end`
// or beyond.
template <class T>
inline void pack_row(const T* from, const T* end, const ConvSpan& span, int64_t step, int64_t count,
                     T* to) {
  constexpr int64_t w = Vec<T>::width;
  for (int64_t i = 0; i < span.begin; i += w) Vec<T>(0.0).store(to + i);
  int64_t i = span.begin;
  if (step == 1) {  // what a vector brings along from the next row is overwritten
    for (; i < span.end && from + i + w <= end; i += w) Vec<T>::load(from + i).store(to + i);
    if (i < span.end) load(from + i, PartVec{span.end - i}).store(to + i);
  } else {
    if (step == 2)
      for (; i + w <= span.end; i += w) every_second(from + 2 * i).store(to + i);
    for (; i < span.end; ++i) to[i] = from[i * step];
  }
  for (i = span.end; i < count; i += w) Vec<T>(0.0).store(to + i);
}

// The block of one image and group. `from`: its source channels [C, D, H, W]; `end`: of the array.
template <class T>
void pack_source(const ConvPlan& p, const ConvTask& task, const T* from, const T* end, T* to) {
  const ConvSteps &z = p.depth, &y = p.height, &x = p.width;
  const int64_t image_plane = y.source * x.source, rows = p.plane / p.row;
  for (int64_t c = 0; c < p.request.source_channels; ++c)
    for (int64_t k = 0; k < z.taps; ++k) {
      const int64_t depth = (task.depth + z.tap[k].shift) * z.step + z.start[z.tap[k].phase];
      const bool inside = depth >= 0 && depth < z.source;
      const T* plane = from + (c * z.source + depth) * image_plane;
      for (int64_t a = 0; a < y.phases; ++a)
        for (int64_t b = 0; b < x.phases; ++b) {
          const int64_t left = task.column * x.step + x.start[b];
          const ConvSpan span = span_of(x.source, left, x.step, p.row);
          int64_t at = task.row * y.step + y.start[a];
          for (int64_t r = 0; r < rows; ++r, at += y.step, to += p.row) {
            const bool row_inside = inside && at >= 0 && at < y.source;
            pack_row(plane + at * x.source + left, end, row_inside ? span : ConvSpan{0, 0}, x.step,
                     p.row, to);
          }
        }
    }
  Vec<T>(0.0).store(to);
}

// The images of a task as products read them: packed, or where they are if packing is a copy.
template <class T>
struct PackedImages {
  const T* first;
  int64_t next;  // from one image to the next
};

template <class T>
PackedImages<T> packed_images(const ConvPlan& p, const ConvTask& t, const T* source, T* packed) {
  const common::ConvRequest& r = p.request;
  const int64_t image = r.source_channels * p.depth.source * p.height.source * p.width.source;
  const T* first = source + (t.first_image * r.groups + t.group) * image;
  if (p.source_as_it_is) return {first, r.groups * image};
  const T* end = source + r.batch * r.groups * image;
  for (int64_t i = 0; i < t.images; ++i)
    pack_source(p, t, first + i * r.groups * image, end, packed + i * p.packed);
  return {packed, p.packed};
}

// How weights are laid out: element (group, row, source channel, tap).
template <class T>
struct ConvWeights {
  const T* data;
  int64_t group, row, channel;  // strides; taps lie side by side
};

// Weights as the tiles read them: for `count` rows, [terms, count].
template <class T>
void pack_weights(const ConvPlan& p, const ConvWeights<T>& w, int64_t group, int64_t first,
                  int64_t count, T* to) {
  for (int64_t c = 0; c < p.request.source_channels; ++c)
    for (int64_t t = 0; t < p.taps; ++t, to += count) {
      const T* from = w.data + group * w.group + first * w.row + c * w.channel + p.tap[t];
      for (int64_t r = 0; r < count; ++r) to[r] = from[r * w.row];
    }
}

// How the channels of a group are cut into panels: two vectors each, or one at the end.
template <class T>
struct ChannelPanels {
  explicit ChannelPanels(int64_t channels) : channels(channels) {}
  static constexpr int64_t width = 2 * Vec<T>::width;
  int64_t count() const { return (channels + width - 1) / width; }
  // Of panel i: how many of its lanes are channels, and how many it has.
  int64_t used(int64_t i) const { return std::min(channels - i * width, width); }
  int64_t lanes(int64_t i) const { return used(i) > Vec<T>::width ? width : Vec<T>::width; }
  // Of all panels, and of those before panel i.
  int64_t all_lanes() const { return (count() - 1) * width + lanes(count() - 1); }
  int64_t before(int64_t i) const { return i * width; }
  int64_t channels;
};

inline const ConvPlaces& places_of(const ConvPlan& p, const ConvTask& task) {
  return task.last ? p.last_places : p.full_places;
}
inline const ConvVectors& vectors_of(const ConvPlan& p, const ConvTask& task) {
  return task.last ? p.last : p.full;
}

// Where, in a plane of results, the block of a task begins.
inline int64_t block_place(const ConvPlan& p, const ConvTask& task) {
  const int64_t y = p.height.place + task.row * p.height.place_step;
  return y * p.request.axis[2].result + p.width.place + task.column * p.width.place_step;
}

// The plane of results of channel 0 of an image and group, in [B, groups, channels, D, H, W].
inline int64_t result_plane(const ConvPlan& p, const ConvTask& task, int64_t image) {
  const common::ConvRequest& r = p.request;
  const int64_t channel = (image * r.groups + task.group) * r.result_channels;
  const int64_t depth = p.depth.place + task.depth * p.depth.place_step;
  return (channel * r.axis[0].result + depth) * r.axis[1].result * r.axis[2].result;
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
