// Running sums. A sum waits for the one before it, so several go side by side: rows where the axis
// is the last, and neighbours where it is not, which is also the order of memory.
#include <heed/backends/reduce.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr int64_t kGrain = 1 << 13;  // numbers that a thread is worth

// kRows rows of n numbers each, one after the other in memory.
template <int kRows, class T>
void rows(const T* p, T* q, int64_t n, bool reverse) {
  sum_t<T> total[kRows] = {};
  for (int64_t i = 0; i < n; ++i) {
    const int64_t at = reverse ? n - 1 - i : i;
    for (int r = 0; r < kRows; ++r) {
      total[r] += static_cast<sum_t<T>>(widened(p[r * n + at]));
      q[r * n + at] = narrowed<T>(total[r]);
    }
  }
}

// Along the last axis of [lanes, n].
template <class T>
void last_axis(const T* source, T* target, int64_t lanes, int64_t n, bool reverse) {
  constexpr int64_t kAtOnce = 4;
  parallel_for(lanes, 1 + kGrain / n, [&](int64_t begin, int64_t end) {
    int64_t lane = begin;
    for (; lane + kAtOnce <= end; lane += kAtOnce)
      rows<kAtOnce>(source + lane * n, target + lane * n, n, reverse);
    for (; lane < end; ++lane) rows<1>(source + lane * n, target + lane * n, n, reverse);
  });
}

// Along the middle axis of [outer, n, inner]: sums of up to kBlock neighbours.
template <class T>
void middle_axis(const T* source, T* target, int64_t outer, int64_t n, int64_t inner,
                 bool reverse) {
  constexpr int64_t kBlock = 1024, kLeast = 64;
  int64_t blocks = (inner + kBlock - 1) / kBlock;
  const int64_t threads = num_threads(), most = (inner + kLeast - 1) / kLeast;
  if (outer * blocks < threads) blocks = threads < most ? threads : most;
  parallel_for(outer * blocks, 1 + kGrain * blocks / (n * inner), [&](int64_t begin, int64_t end) {
    for (int64_t task = begin; task < end; ++task) {
      const int64_t o = task / blocks, b = task % blocks;
      const int64_t first = inner * b / blocks, count = inner * (b + 1) / blocks - first;
      sum_t<T> total[kBlock];
      for (int64_t k = 0; k < count; ++k) total[k] = 0;
      for (int64_t i = 0; i < n; ++i) {
        const int64_t at = (o * n + (reverse ? n - 1 - i : i)) * inner + first;
        const T* p = source + at;
        T* q = target + at;
#pragma GCC ivdep
        for (int64_t k = 0; k < count; ++k) {
          total[k] += static_cast<sum_t<T>>(widened(p[k]));
          q[k] = narrowed<T>(total[k]);
        }
      }
    }
  });
}

template <class T>
void typed(const Array& x, int axis, bool reverse, const Array& out) {
  const int64_t n = x.shape()[axis], numel = x.numel();
  if (numel == 0) return;
  int64_t inner = 1;
  for (int i = axis + 1; i < x.rank(); ++i) inner *= x.shape()[i];
  if (inner == 1) last_axis(pointer<T>(x), pointer<T>(out), numel / n, n, reverse);
  else middle_axis(pointer<T>(x), pointer<T>(out), numel / (n * inner), n, inner, reverse);
}

}  // namespace

void cumsum(const Array& x, int axis, bool reverse, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t>(
      "cumsum", x.dtype(), [&](auto type) { typed<decltype(type)>(x, axis, reverse, out); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
