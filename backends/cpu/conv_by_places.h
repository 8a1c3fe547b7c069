// A convolution whose vectors hold places of one channel of the result: packed elements side by
// side times one weight, the same in all lanes. For groups of few channels, down to one
// (depthwise).
#pragma once

#include <heed/backends/cpu/conv_pack.h>
#include <heed/backends/cpu/scratch.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A tile of results, kTileRows channels x kTileVecs vectors, stays in registers over all terms.
#if defined(__AVX512F__)
constexpr int kTileRows = 8, kTileVecs = 3;
#else
constexpr int kTileRows = 4, kTileVecs = 3;
#endif
constexpr int64_t kPanelBytes = 128 << 10;  // weights that stay in cache while vectors pass

template <class T>
struct PlaceTile {
  int64_t terms;
  const int64_t* offset;
  const T* weights;            // [terms, rows]
  const T* bias;               // [rows] or null
  const T* packed[kTileVecs];  // of each vector
  T* out[kTileVecs];           // of each vector
  int64_t out_row;             // from a row to the next in `out`
};

template <class T, int rows, int vecs>
__attribute__((noinline)) void tile(const PlaceTile<T>& a) {
  Vec<T> sum[rows][vecs];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < vecs; ++n)
      sum[r][n] = a.bias ? Vec<T>(typename Vec<T>::Batch(a.bias[r])) : Vec<T>(0.0);
  const T* packed[vecs];
#pragma GCC unroll 4
  for (int n = 0; n < vecs; ++n) packed[n] = a.packed[n];
  const T* w = a.weights;
  const int64_t *offset = a.offset, *end = offset + a.terms;
  for (; offset != end; ++offset, w += rows) {
    const int64_t o = *offset;
    Vec<T> right[vecs];
#pragma GCC unroll 4
    for (int n = 0; n < vecs; ++n) right[n] = Vec<T>::load(packed[n] + o);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      Vec<T> left = Vec<T>(typename Vec<T>::Batch(w[r]));
#pragma GCC unroll 4
      for (int n = 0; n < vecs; ++n) sum[r][n] = fma(left, right[n], sum[r][n]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < vecs; ++n) sum[r][n].store(a.out[n] + r * a.out_row);
}

// The lanes of a vector that are results, one after the other in the first lanes.
template <class T>
inline Vec<T> compressed(const T* from, const int32_t* lane) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4)
    return typename Vec<T>::Batch(
        _mm512_permutexvar_ps(_mm512_loadu_si512(lane), _mm512_loadu_ps(from)));
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i index = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane));
    return typename Vec<T>::Batch(_mm256_permutevar8x32_ps(_mm256_loadu_ps(from), index));
  }
#endif
  alignas(64) T buffer[Vec<T>::width];
  for (int64_t i = 0; i < Vec<T>::width; ++i) buffer[i] = from[lane[i]];
  return Vec<T>::load(buffer);
}

// What a vector keeps of a tile's rows, to their planes.
template <class T>
void put(const T* from, int64_t from_row, int64_t rows, const ConvVector& v, const int32_t* lane,
         const int32_t* place, T* plane, int64_t plane_row) {
  constexpr int64_t w = Vec<T>::width;
  if (v.kept == w && v.dense) {
    T* to = plane + v.place;
    for (int64_t r = 0; r < rows; ++r) Vec<T>::load(from + r * from_row).store(to + r * plane_row);
  } else if (v.wide) {  // what is beyond this vector's results is written by the vectors after it
    T* to = plane + v.place;
    for (int64_t r = 0; r < rows; ++r)
      compressed(from + r * from_row, lane).store(to + r * plane_row);
  } else {
    for (int64_t i = 0; i < v.kept; ++i) {
      const T* source = from + lane[i];
      T* to = plane + place[i];
      for (int64_t r = 0; r < rows; ++r) to[r * plane_row] = source[r * from_row];
    }
  }
}

template <class T>
class ConvolutionByPlaces {
 public:
  ConvolutionByPlaces(const ConvPlan& plan, const T* source, const ConvWeights<T>& weights,
                      const T* bias, T* out)
      : p_(plan), source_(source), weights_(weights), bias_(bias), out_(out) {}

  void run() const {
    const int64_t rows = p_.request.result_channels, groups = p_.request.groups;
    const int64_t panel = groups * rows * p_.terms * static_cast<int64_t>(sizeof(T));
    common::with_scratch(panel, [&](char* memory) {
      T* panels = reinterpret_cast<T*>(memory);
      parallel_for(groups * rows, 1 + 65536 / (p_.terms + 1),
                   [&](int64_t begin, int64_t end) { pack(panels, begin, end); });
      parallel_for(p_.tasks, 1, [&](int64_t begin, int64_t end) {
        const int64_t bytes = p_.images * p_.packed * static_cast<int64_t>(sizeof(T));
        common::with_scratch(bytes, [&](char* packed) {
          for (int64_t i = begin; i < end; ++i)
            task(conv_task(p_, i), panels, reinterpret_cast<T*>(packed));
        });
      });
    });
  }

 private:
  // How many rows the tile at `row` has: kTileRows, then halves of it.
  int64_t tile_rows(int64_t row) const {
    int64_t n = kTileRows;
    while (row % kTileRows + n > kTileRows || row + n > p_.request.result_channels) n /= 2;
    return n;
  }

  // The panels of the tiles that begin within [begin, end) of all groups' rows.
  void pack(T* panels, int64_t begin, int64_t end) const {
    const int64_t rows = p_.request.result_channels;
    for (int64_t group = begin / rows; group * rows < end; ++group)
      for (int64_t row = 0; row < rows;) {
        const int64_t n = tile_rows(row), at = group * rows + row;
        if (at >= begin && at < end)
          pack_weights(p_, weights_, group, row, n, panels + at * p_.terms);
        row += n;
      }
  }

  void task(const ConvTask& t, const T* panels, T* packed) const {
    const common::ConvRequest& r = p_.request;
    packed_images(p_, t, source_, packed);
    const T* own = panels + t.group * r.result_channels * p_.terms;
    const int64_t bytes = r.result_channels * p_.terms * static_cast<int64_t>(sizeof(T));
    if (bytes <= kPanelBytes) {  // all weights stay in cache
      for (Aim aim(p_, t, packed, out_); aim.next();)
        for (int64_t row = 0; row < r.result_channels; row += tile_rows(row))
          tile_at(t, own, aim, row);
    } else {  // those of a tile's rows do
      for (int64_t row = 0; row < r.result_channels; row += tile_rows(row))
        for (Aim aim(p_, t, packed, out_); aim.next();) tile_at(t, own, aim, row);
    }
  }

  // The next vectors of a task's images, up to kTileVecs: where they read and write.
  struct Aim {
    Aim(const ConvPlan& plan, const ConvTask& task, const T* packed, T* out)
        : p(plan), t(task), list(vectors_of(plan, task)), source(packed), result(out) {
      begin_image();
    }

    bool next() {
      count = 0;
      while (count < kTileVecs && image < t.images) {
        index[count] = at;
        from[count] = source + list.vector[at].source;
        plane[count++] = target;
        if (++at < list.count) continue;
        at = 0;
        ++image;
        source += p.packed;
        if (image < t.images) begin_image();
      }
      return count > 0;
    }

    void begin_image() {
      target = result + result_plane(p, t, t.first_image + image) + block_place(p, t);
    }

    const ConvPlan& p;
    const ConvTask& t;
    const ConvVectors& list;
    const T *source, *from[kTileVecs] = {};
    T *result, *target = nullptr, *plane[kTileVecs] = {};
    int64_t index[kTileVecs] = {}, count = 0, at = 0, image = 0;
  };

  void tile_at(const ConvTask& t, const T* panels, const Aim& aim, int64_t row) const {
    constexpr int64_t w = Vec<T>::width;
    const int64_t rows = tile_rows(row);
    alignas(64) T results[kTileRows * kTileVecs * w];
    PlaceTile<T> a{p_.terms, p_.offset, panels + row * p_.terms, nullptr, {}, {}, aim.count * w};
    if (bias_) a.bias = bias_ + t.group * p_.request.result_channels + row;
    for (int64_t n = 0; n < aim.count; ++n) a.packed[n] = aim.from[n], a.out[n] = results + n * w;
    if (aim.count == 3) run_rows<3>(a, rows);
    else if (aim.count == 2) run_rows<2>(a, rows);
    else run_rows<1>(a, rows);
    for (int64_t n = 0; n < aim.count; ++n) {
      const int64_t i = aim.index[n];
      put(results + n * w, aim.count * w, rows, aim.list.vector[i], aim.list.lane + i * w,
          aim.list.place + i * w, aim.plane[n] + row * p_.channel, p_.channel);
    }
  }

  template <int vecs>
  static void run_rows(const PlaceTile<T>& a, int64_t rows) {
    if constexpr (kTileRows == 8)
      if (rows == 8) return tile<T, 8, vecs>(a);
    if (rows == 4) return tile<T, 4, vecs>(a);
    if (rows == 2) return tile<T, 2, vecs>(a);
    tile<T, 1, vecs>(a);
  }

  const ConvPlan& p_;
  const T* source_;
  ConvWeights<T> weights_;
  const T* bias_;
  T* out_;
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
