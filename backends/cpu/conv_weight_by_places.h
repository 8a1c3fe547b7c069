// The gradient by weight of a convolution whose vectors hold places (conv_plan.h).
#pragma once

#include <heed/backends/cpu/conv_pack.h>
#include <heed/backends/cpu/scratch.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// dweight[o, term] = sum over images and places of cotangent[o, place] packed[place + offset of the
// term]. A tile, kTileChannels channels x kWeightTerms terms, sums over the vectors of a task's
// images in registers; then its lanes are added up and join sums in double. Lanes that are no
// result have a cotangent of 0, which suffices unless what they read is not finite: a tile whose
// sums are not is made again without those lanes.
#if defined(__AVX512F__)
constexpr int kTileChannels = 6, kWeightTerms = 4;
#else
constexpr int kTileChannels = 4, kWeightTerms = 3;
#endif

template <class T>
struct WeightTile {
  const ConvVector* vector;
  int64_t vectors, images;
  const T* packed;  // + image * packed_image + vector.source + offset
  int64_t packed_image;
  const int64_t* offset;  // of the terms
  const T* cotangent;     // [rows, images, vectors, lanes]
  int64_t row;            // elements of a row of it
  double* out;            // + channel * out_stride + term
  int64_t out_stride;
  const int32_t* result;  // [vectors, lanes]: -1 for a lane that is no result
};

// The source of a vector's results; 0 in the other lanes.
template <class T>
inline Vec<T> load_results(const T* from, const int32_t* result) {
  alignas(64) T buffer[Vec<T>::width];
  for (int64_t i = 0; i < Vec<T>::width; ++i) buffer[i] = result[i] < 0 ? T(0) : from[i];
  return Vec<T>::load(buffer);
}

template <class T, int rows, int terms, bool kResultsOnly>
__attribute__((noinline)) void tile(const WeightTile<T>& a) {
  Vec<T> sum[rows][terms];
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < terms; ++n) sum[r][n] = Vec<T>(0.0);
  const T* g = a.cotangent;
  for (int64_t image = 0; image < a.images; ++image) {
    const T* packed[terms];
#pragma GCC unroll 4
    for (int n = 0; n < terms; ++n) packed[n] = a.packed + image * a.packed_image + a.offset[n];
    for (const ConvVector *v = a.vector, *end = v + a.vectors; v != end; ++v) {
      const int64_t source = v->source;
      Vec<T> right[terms];
#pragma GCC unroll 4
      for (int n = 0; n < terms; ++n)
        right[n] = kResultsOnly
                       ? load_results(packed[n] + source, a.result + (v - a.vector) * Vec<T>::width)
                       : Vec<T>::load(packed[n] + source);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        Vec<T> left = Vec<T>::load(g + r * a.row);
#pragma GCC unroll 4
        for (int n = 0; n < terms; ++n) sum[r][n] = fma(left, right[n], sum[r][n]);
      }
      g += Vec<T>::width;
    }
  }
  double sums[rows][terms], test = 0;
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int n = 0; n < terms; ++n) {
      sums[r][n] = static_cast<double>(lane_sum(sum[r][n]));
      test += 0 * sums[r][n];
    }
  if constexpr (!kResultsOnly)
    if (test != 0) return tile<T, rows, terms, true>(a);  // NaN
  for (int r = 0; r < rows; ++r)
    for (int n = 0; n < terms; ++n) a.out[r * a.out_stride + n] += sums[r][n];
}

template <class T, int rows>
void tiles(WeightTile<T> a, int64_t terms) {
  for (; terms >= kWeightTerms; terms -= kWeightTerms) {
    tile<T, rows, kWeightTerms, false>(a);
    a.offset += kWeightTerms;
    a.out += kWeightTerms;
  }
  for (; terms > 0; --terms, ++a.offset, ++a.out) tile<T, rows, 1, false>(a);
}

// The results of a vector in their lanes, 0 in the other lanes.
template <class T>
inline Vec<T> spread(const T* from, const int32_t* result) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const __m512i index = _mm512_loadu_si512(result);
    const __mmask16 used = _mm512_cmpge_epi32_mask(index, _mm512_setzero_si512());
    return typename Vec<T>::Batch(_mm512_maskz_permutexvar_ps(used, index, _mm512_loadu_ps(from)));
  }
#elif defined(__AVX2__)
  if constexpr (sizeof(T) == 4) {
    const __m256i index = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(result));
    const __m256 moved = _mm256_permutevar8x32_ps(_mm256_loadu_ps(from), index);
    const __m256 unused = _mm256_castsi256_ps(_mm256_srai_epi32(index, 31));
    return typename Vec<T>::Batch(_mm256_andnot_ps(unused, moved));
  }
#endif
  alignas(64) T buffer[Vec<T>::width];
  for (int64_t i = 0; i < Vec<T>::width; ++i) buffer[i] = result[i] < 0 ? T(0) : from[result[i]];
  return Vec<T>::load(buffer);
}

// A cotangent in the vectors' order.
template <class T>
void pack_cotangent(const ConvVectors& list, const T* plane, T* to) {
  constexpr int64_t w = Vec<T>::width;
  for (int64_t n = 0; n < list.count; ++n, to += w) {
    const ConvVector& v = list.vector[n];
    if (v.dense && v.kept == w) {
      Vec<T>::load(plane + v.place).store(to);
    } else if (v.wide) {
      spread(plane + v.place, list.result + n * w).store(to);
    } else {
      Vec<T>(0.0).store(to);
      for (int64_t i = 0; i < v.kept; ++i) to[list.lane[n * w + i]] = plane[list.place[n * w + i]];
    }
  }
}

template <class T>
class WeightGradientByPlaces {
 public:
  WeightGradientByPlaces(const ConvPlan& plan, const T* x, const T* cotangent)
      : p_(plan), x_(x), cotangent_(cotangent) {}

  void run(T* out) const {
    const int64_t size = p_.request.groups * p_.request.result_channels * p_.terms;
    const int64_t threads = num_threads(), pieces = p_.tasks < threads ? p_.tasks : threads;
    common::with_scratch(pieces * size * 8, [&](char* memory) {
      double* sums = reinterpret_cast<double*>(memory);
      parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i)
          piece(p_.tasks * i / pieces, p_.tasks * (i + 1) / pieces, sums + i * size);
      });
      parallel_for(size, 65536, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          double total = 0;
          for (int64_t k = 0; k < pieces; ++k) total += sums[k * size + i];
          out[i] = static_cast<T>(total);
        }
      });
    });
  }

 private:
  void piece(int64_t begin, int64_t end, double* sums) const {
    const common::ConvRequest& r = p_.request;
    const int64_t lanes = p_.images * p_.full.count * Vec<T>::width;
    for (int64_t i = 0; i < r.groups * r.result_channels * p_.terms; ++i) sums[i] = 0;
    const int64_t elements = p_.images * p_.packed + r.result_channels * lanes;
    common::with_scratch(elements * static_cast<int64_t>(sizeof(T)), [&](char* memory) {
      T* packed = reinterpret_cast<T*>(memory);
      for (int64_t i = begin; i < end; ++i)
        task(conv_task(p_, i), packed, packed + p_.images * p_.packed, sums);
    });
  }

  void task(const ConvTask& t, T* packed, T* cotangent, double* sums) const {
    const common::ConvRequest& r = p_.request;
    const ConvVectors& list = vectors_of(p_, t);
    const int64_t stretch = list.count * Vec<T>::width, row = t.images * stretch;
    packed_images(p_, t, x_, packed);
    for (int64_t i = 0; i < t.images; ++i) {
      const T* plane = cotangent_ + result_plane(p_, t, t.first_image + i) + block_place(p_, t);
      for (int64_t o = 0; o < r.result_channels; ++o)
        pack_cotangent(list, plane + o * p_.channel, cotangent + o * row + i * stretch);
    }
    WeightTile<T> a{list.vector, list.count, t.images, packed,   p_.packed,  p_.offset,
                    cotangent,   row,        nullptr,  p_.terms, list.result};
    a.out = sums + t.group * r.result_channels * p_.terms;
    int64_t rows = r.result_channels;
    auto next = [&](int64_t n) {
      a.cotangent += n * row;
      a.out += n * p_.terms;
      rows -= n;
    };
    for (; rows >= kTileChannels; next(kTileChannels)) tiles<T, kTileChannels>(a, p_.terms);
    for (; rows >= 2; next(2)) tiles<T, 2>(a, p_.terms);
    for (; rows >= 1; next(1)) tiles<T, 1>(a, p_.terms);
  }

  const ConvPlan& p_;
  const T *x_, *cotangent_;
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
