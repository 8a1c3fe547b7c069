// Running sums. A sum waits for the one before it, so several are under way: pieces of a row where
// the axis is the last, neighbours where it is not, which is also the order of memory.
#include <heed/backends/reduce.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr int64_t kGrain = 1 << 13;  // numbers that a thread is worth

// One row. Four numbers are summed up by themselves and then moved by the sum before them, so that
// each waits for an addition a quarter of the time.
template <class T>
void row(const T* p, T* q, int64_t n, bool reverse) {
  using S = sum_t<T>;
  const int64_t step = reverse ? -1 : 1;
  if (reverse) {
    p += n - 1;
    q += n - 1;
  }
  S before = 0;
  int64_t i = 0;
  for (; i + 4 <= n; i += 4, p += 4 * step, q += 4 * step) {
    const S a = static_cast<S>(widened(p[0])), b = a + static_cast<S>(widened(p[step]));
    const S c = b + static_cast<S>(widened(p[2 * step]));
    const S d = c + static_cast<S>(widened(p[3 * step]));
    q[0] = narrowed<T>(before + a);
    q[step] = narrowed<T>(before + b);
    q[2 * step] = narrowed<T>(before + c);
    before += d;
    q[3 * step] = narrowed<T>(before);
  }
  for (; i < n; ++i, p += step, q += step)
    q[0] = narrowed<T>(before += static_cast<S>(widened(p[0])));
}

// Along the last axis of [lanes, n].
template <class T>
void last_axis(const T* source, T* target, int64_t lanes, int64_t n, bool reverse) {
  parallel_for(lanes, 1 + kGrain / n, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane)
      row(source + lane * n, target + lane * n, n, reverse);
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
