#include <heed/backends/conv.h>

#include <heed/backends/copy.h>
#include <heed/backends/cpu/conv_pack.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/widen.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A tile of results, kRows channels x kVecs vectors, stays in registers over all terms.
#if defined(__AVX512F__)
constexpr int kRows = 8, kVecs = 3;
#else
constexpr int kRows = 4, kVecs = 3;
#endif
constexpr int64_t kPanelBytes = 128 << 10;  // weights that stay in cache while vectors pass

template <class T>
struct TileArgs {
  int64_t terms;
  const int64_t* offset;
  const T* weights;        // [terms, rows]
  const T* bias;           // [rows] or null
  const T* packed[kVecs];  // of each vector
  T* out;                  // [rows, vectors, lanes], in cache
};

template <class T, int rows, int vecs>
__attribute__((noinline)) void tile(const TileArgs<T>& a) {
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
    for (int n = 0; n < vecs; ++n) sum[r][n].store(a.out + (r * vecs + n) * Vec<T>::width);
}

// The lanes of a vector that are results, one after the other in the first `kept` lanes.
template <class T>
inline Vec<T> compressed(const T* from, const int32_t* lane) {
#if defined(__AVX2__)
  if constexpr (sizeof(T) == 4 && Vec<T>::width == 8) {
    __m256i index = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lane));
    return typename Vec<T>::Batch(_mm256_permutevar8x32_ps(_mm256_loadu_ps(from), index));
  }
#endif
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    __m512i index = _mm512_loadu_si512(lane);
    return typename Vec<T>::Batch(_mm512_permutexvar_ps(index, _mm512_loadu_ps(from)));
  }
#endif
  alignas(64) T buffer[Vec<T>::width];
  for (int64_t i = 0; i < Vec<T>::width; ++i) buffer[i] = from[lane[i]];
  return Vec<T>::load(buffer);
}

template <class T>
inline void put(const T* from, const ConvVector& v, const int32_t* lane, const int32_t* place,
                T* plane) {
  constexpr int64_t w = Vec<T>::width;
  if (!v.dense) {
    for (int64_t i = 0; i < v.kept; ++i) plane[place[i]] = from[lane[i]];
  } else if (v.kept == w) {
    Vec<T>::load(from).store(plane + v.place);
  } else {
    store(plane + v.place, compressed(from, lane), PartVec{v.kept});
  }
}

template <class T>
class Convolution {
 public:
  Convolution(const ConvPlan& plan, const T* source, const ConvWeights<T>& weights, const T* bias,
              T* out)
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
  // How many rows the tile at `row` has: kRows, then halves of it.
  int64_t tile_rows(int64_t row) const {
    int64_t n = kRows;
    while (row % kRows + n > kRows || row + n > p_.request.result_channels) n /= 2;
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
    const int64_t image = r.source_channels * p_.depth.source * p_.height.source * p_.width.source;
    for (int64_t i = 0; i < t.images; ++i)
      pack_source(p_, t, source_ + ((t.first_image + i) * r.groups + t.group) * image,
                  packed + i * p_.packed);
    const int64_t vectors = t.images * vectors_of(p_, t).count;
    const T* own = panels + t.group * r.result_channels * p_.terms;
    const int64_t bytes = r.result_channels * p_.terms * static_cast<int64_t>(sizeof(T));
    if (bytes <= kPanelBytes) {  // all weights stay in cache
      for (int64_t v = 0; v < vectors; v += kVecs)
        for (int64_t row = 0; row < r.result_channels; row += tile_rows(row))
          tile_at(t, own, packed, row, v, vectors);
    } else {  // those of a tile's rows do
      for (int64_t row = 0; row < r.result_channels; row += tile_rows(row))
        for (int64_t v = 0; v < vectors; v += kVecs) tile_at(t, own, packed, row, v, vectors);
    }
  }

  void tile_at(const ConvTask& t, const T* panels, const T* packed, int64_t row, int64_t first,
               int64_t vectors) const {
    constexpr int64_t w = Vec<T>::width;
    const ConvVectors& list = vectors_of(p_, t);
    const int64_t rows = tile_rows(row), count = vectors - first < kVecs ? vectors - first : kVecs;
    alignas(64) T results[kRows * kVecs * w];
    int64_t image[kVecs], index[kVecs];
    TileArgs<T> a{p_.terms, p_.offset, panels + row * p_.terms, nullptr, {}, results};
    if (bias_) a.bias = bias_ + t.group * p_.request.result_channels + row;
    for (int64_t n = 0; n < count; ++n) {
      image[n] = (first + n) / list.count;
      index[n] = (first + n) % list.count;
      a.packed[n] = packed + image[n] * p_.packed + list.vector[index[n]].source;
    }
    if (count == 3) run_rows<3>(a, rows);
    else if (count == 2) run_rows<2>(a, rows);
    else run_rows<1>(a, rows);
    const common::ConvRequest& q = p_.request;
    const int64_t channel = q.axis[0].result * q.axis[1].result * q.axis[2].result;
    for (int64_t n = 0; n < count; ++n) {
      T* plane =
          out_ + result_plane(p_, t, t.first_image + image[n]) + row * channel + block_place(p_, t);
      const ConvVector& v = list.vector[index[n]];
      for (int64_t r = 0; r < rows; ++r)
        put(results + (r * count + n) * w, v, list.lane + index[n] * w, list.place + index[n] * w,
            plane + r * channel);
    }
  }

  template <int vecs>
  static void run_rows(const TileArgs<T>& a, int64_t rows) {
    if constexpr (kRows == 8)
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

common::ConvRequest request(const Array& source, const Array& result, int64_t groups,
                            int64_t lanes) {
  common::ConvRequest r{};
  r.batch = source.dim(0);
  r.groups = groups;
  r.source_channels = source.dim(1) / groups;
  r.result_channels = result.dim(1) / groups;
  r.lanes = lanes;
  r.element_bytes = static_cast<int64_t>(size_of(source.dtype()));
  return r;
}

template <class T>
void forward(const Array& x, const Array& weight, const Array& bias, const ConvGeometry& g,
             const Array& out) {
  common::ConvRequest r = request(x, out, g.groups, Vec<T>::width);
  for (int i = 0; i < 3; ++i)
    r.axis[i] = {x.dim(2 + i),
                 out.dim(2 + i),
                 weight.dim(2 + i),
                 g.stride[i],
                 g.padding[i],
                 g.dilation[i],
                 -1};
  const int64_t taps = weight.dim(2) * weight.dim(3) * weight.dim(4), row = taps * weight.dim(1);
  ConvWeights<T> w{pointer<T>(weight), row * r.result_channels, row, taps};
  common::with_conv_plan(r, [&](const ConvPlan& plan) {
    Convolution<T>(plan, pointer<T>(x), w, pointer<T>(bias), pointer<T>(out)).run();
  });
}

template <class T>
void input_gradient(const Array& cotangent, const Array& weight, const ConvGeometry& g,
                    const Array& dx) {
  common::ConvRequest r = request(cotangent, dx, g.groups, Vec<T>::width);
  const int64_t taps = weight.dim(2) * weight.dim(3) * weight.dim(4), row = taps * weight.dim(1);
  ConvWeights<T> w{pointer<T>(weight), row * r.source_channels, taps, row};
  for (int64_t z = 0; z < g.stride[0]; ++z)
    for (int64_t y = 0; y < g.stride[1]; ++y)
      for (int64_t x = 0; x < g.stride[2]; ++x) {
        const int64_t residue[3] = {z, y, x};
        for (int i = 0; i < 3; ++i)
          r.axis[i] = {cotangent.dim(2 + i), dx.dim(2 + i), weight.dim(2 + i), g.stride[i],
                       g.padding[i],         g.dilation[i], residue[i]};
        common::with_conv_plan(r, [&](const ConvPlan& plan) {
          Convolution<T>(plan, pointer<T>(cotangent), w, nullptr, pointer<T>(dx)).run();
        });
      }
}

}  // namespace

void conv(const Array& x, const Array& weight, const Array& bias, const ConvGeometry& geometry,
          const Array& out) {
  const Array* results[] = {&out};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    dispatch_wide("conv", wide->dtype(), [&](auto type) {
      const Array b = bias.defined() ? common::widened(bias) : bias;
      forward<decltype(type)>(common::widened(x), common::widened(weight), b, geometry, *wide);
    });
  });
}

void conv_input_gradient(const Array& cotangent, const Array& weight, const ConvGeometry& geometry,
                         const Array& dx) {
  const Array* results[] = {&dx};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    dispatch_wide("conv_input_gradient", wide->dtype(), [&](auto type) {
      input_gradient<decltype(type)>(common::widened(cotangent), common::widened(weight), geometry,
                                     *wide);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
