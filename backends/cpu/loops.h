// Iterates over several arrays of one shape at once: axes that are contiguous in all of them are
// merged, and the innermost axis is left to the caller as (pointers, strides, count).
#pragma once

#include <heed/core/array.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

template <int K>
struct Loop {
  int rank = 0;  // outer axes, the inner one excluded
  int64_t outer_count = 1, inner_count = 1;
  int64_t sizes[kMaxRank];
  int64_t outer[K][kMaxRank];  // strides in bytes
  int64_t inner[K];
  char* base[K];

  explicit Loop(const Array* const (&arrays)[K]) {
    const Shape& shape = arrays[0]->shape();
    if (all_plain(arrays)) {  // the common case, without the bookkeeping below
      inner_count = arrays[0]->numel();
      for (int k = 0; k < K; ++k) {
        base[k] = static_cast<char*>(arrays[k]->raw());
        inner[k] = static_cast<int64_t>(size_of(arrays[k]->dtype()));
      }
      return;
    }
    int64_t size[kMaxRank + 1], stride[K][kMaxRank + 1];
    int n = 0;
    for (int i = 0; i < shape.rank(); ++i) {
      if (shape[i] == 1) continue;
      bool merge = n > 0;
      for (int k = 0; k < K && merge; ++k)
        merge = stride[k][n - 1] == arrays[k]->strides()[i] * shape[i];
      if (merge) size[n - 1] *= shape[i];
      else size[n++] = shape[i];
      for (int k = 0; k < K; ++k) stride[k][n - 1] = arrays[k]->strides()[i];
    }
    if (n == 0) {
      size[n++] = 1;
      for (int k = 0; k < K; ++k) stride[k][0] = 1;
    }
    rank = n - 1;
    inner_count = size[rank];
    for (int k = 0; k < K; ++k) {
      auto bytes = static_cast<int64_t>(size_of(arrays[k]->dtype()));
      base[k] = static_cast<char*>(arrays[k]->raw());
      inner[k] = stride[k][rank] * bytes;
      for (int i = 0; i < rank; ++i) outer[k][i] = stride[k][i] * bytes;
    }
    for (int i = 0; i < rank; ++i) outer_count *= sizes[i] = size[i];
  }

  static bool all_plain(const Array* const (&arrays)[K]) {
    for (const Array* a : arrays)
      if (!a->is_contiguous()) return false;
    return true;
  }

  // Calls f(pointers, strides in bytes, count) in parallel; small arrays stay on this thread.
  template <class F>
  void run(F f) const {
    constexpr int64_t kGrain = 32768;
    if (inner_count == 0 || outer_count == 0) return;
    if (rank == 0) {
      if (inner_count <= kGrain) return f(base, inner, inner_count);
      parallel_for(inner_count, kGrain, [&](int64_t begin, int64_t end) {
        char* p[K];
        for (int k = 0; k < K; ++k) p[k] = base[k] + begin * inner[k];
        f(p, inner, end - begin);
      });
      return;
    }
    parallel_for(outer_count, 1 + kGrain / inner_count, [&](int64_t begin, int64_t end) {
      int64_t index[kMaxRank];
      int64_t rest = begin;
      char* p[K];
      for (int k = 0; k < K; ++k) p[k] = base[k];
      for (int i = rank - 1; i >= 0; --i) {
        index[i] = rest % sizes[i];
        rest /= sizes[i];
        for (int k = 0; k < K; ++k) p[k] += index[i] * outer[k][i];
      }
      for (int64_t o = begin; o < end; ++o) {
        f(p, inner, inner_count);
        for (int i = rank - 1; i >= 0; --i) {
          for (int k = 0; k < K; ++k) p[k] += outer[k][i];
          if (++index[i] < sizes[i]) break;
          index[i] = 0;
          for (int k = 0; k < K; ++k) p[k] -= sizes[i] * outer[k][i];
        }
      }
    });
  }
};

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
