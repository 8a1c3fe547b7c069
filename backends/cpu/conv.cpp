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
  T* out[kVecs];           // of each vector
  int64_t out_row;         // from a row to the next in `out`
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
class Convolution {
 public:
  Convolution(const ConvPlan& plan, const T* source, const ConvWeights<T>& weights, const T* bias,
              T* out)
      : p_(plan), source_(source), weights_(weights), bias_(bias), out_(out) {
    const common::ConvRequest& r = plan.request;
    channel_ = r.axis[0].result * r.axis[1].result * r.axis[2].result;
  }

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

  // The next vectors of a task's images, up to kVecs: where they read and write.
  struct Aim {
    Aim(const ConvPlan& plan, const ConvTask& task, const T* packed, T* out)
        : p(plan), t(task), list(vectors_of(plan, task)), source(packed), result(out) {
      begin_image();
    }

    bool next() {
      count = 0;
      as_they_are = true;
      while (count < kVecs && image < t.images) {
        as_they_are = as_they_are && list.vector[at].as_it_is;
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
    const T *source, *from[kVecs] = {};
    T *result, *target = nullptr, *plane[kVecs] = {};
    int64_t index[kVecs] = {}, count = 0, at = 0, image = 0;
    bool as_they_are = true;  // all of them can be stored as they are
  };

  void tile_at(const ConvTask& t, const T* panels, const Aim& aim, int64_t row) const {
    constexpr int64_t w = Vec<T>::width;
    const int64_t rows = tile_rows(row);
    alignas(64) T results[kRows * kVecs * w];
    TileArgs<T> a{p_.terms, p_.offset, panels + row * p_.terms, nullptr, {}, {}, aim.count * w};
    if (bias_) a.bias = bias_ + t.group * p_.request.result_channels + row;
    for (int64_t n = 0; n < aim.count; ++n) a.packed[n] = aim.from[n], a.out[n] = results + n * w;
    if (aim.as_they_are) {
      for (int64_t n = 0; n < aim.count; ++n)
        a.out[n] = aim.plane[n] + row * channel_ + aim.list.vector[aim.index[n]].place;
      a.out_row = channel_;
    }
    if (aim.count == 3) run_rows<3>(a, rows);
    else if (aim.count == 2) run_rows<2>(a, rows);
    else run_rows<1>(a, rows);
    if (aim.as_they_are) return;
    for (int64_t n = 0; n < aim.count; ++n) {
      const int64_t i = aim.index[n];
      put(results + n * w, aim.count * w, rows, aim.list.vector[i], aim.list.lane + i * w,
          aim.list.place + i * w, aim.plane[n] + row * channel_, channel_);
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
  int64_t channel_;  // elements of a channel of results
};

template <class T>
void forward(const Array& x, const Array& weight, const Array& bias, const ConvGeometry& g,
             const Array& out) {
  common::ConvRequest r = conv_request<T>(x, out, g.groups);
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
  common::ConvRequest r = conv_request<T>(cotangent, dx, g.groups);
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
