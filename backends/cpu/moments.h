// Long sums, and means and variances, of rows of numbers: in vectors for a short stretch, then in
// double.
#pragma once

#include <heed/backends/cpu/vectors.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

constexpr int64_t kMomentsRow = 4096;  // numbers that are read twice from the first cache
constexpr int64_t kNormGrain = 16384;  // numbers that a thread is worth

// totals[k] += the sum over the row of what f(i, part, acc) adds to acc[k]. Several vectors are
// under way at once, so that memory and not the latency of an addition sets the pace.
template <class T, int K, class F>
inline __attribute__((always_inline)) void long_sums(int64_t n, double (&totals)[K], F&& f) {
  constexpr int64_t w = Vec<T>::width, kAtOnce = 4, kStretch = 32;
  int64_t i = 0;
  while (i + kAtOnce * w <= n) {
    Vec<T> acc[kAtOnce][K];
    for (auto& lane : acc)
      for (Vec<T>& a : lane) a = Vec<T>(0.0);
    int64_t rounds = (n - i) / (kAtOnce * w);
    if (rounds > kStretch) rounds = kStretch;
    for (; rounds > 0; --rounds, i += kAtOnce * w)
      for (int64_t u = 0; u < kAtOnce; ++u) f(i + u * w, FullVec{}, acc[u]);
    for (int k = 0; k < K; ++k) {
      Vec<T> sum = acc[0][k];
      for (int64_t u = 1; u < kAtOnce; ++u) sum += acc[u][k];
      totals[k] += static_cast<double>(lane_sum(sum));
    }
  }
  if (i == n) return;
  Vec<T> rest[K];
  for (Vec<T>& a : rest) a = Vec<T>(0.0);
  each_vec<T>(n - i, [&](int64_t j, auto part) { f(i + j, part, rest); });
  for (int k = 0; k < K; ++k) totals[k] += static_cast<double>(lane_sum(rest[k]));
}

// Count, mean and sum of squares about the mean of some numbers.
struct Moments {
  double count = 0, mean = 0, squares = 0;
  // Those of both lots together (Chan, Golub & LeVeque 1983).
  void merge(const Moments& other) {
    if (other.count == 0) return;
    const double both = count + other.count, share = other.count / both, d = other.mean - mean;
    squares += other.squares + d * d * count * share;
    mean += d * share;
    count = both;
  }
};

// Of one row, n >= 1, in double throughout: where the squares of finite numbers overflow T.
template <class S>
__attribute__((noinline)) Moments wide_moments_of(const S* x, int64_t n) {
  const auto count = static_cast<double>(n);
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(widened(x[i]));
  const double mean = sum / count;
  for (int64_t i = 0; i < n; ++i) {
    const double d = static_cast<double>(widened(x[i])) - mean;
    squares += d * d;
  }
  return {count, mean, squares};
}

// Of one row, n >= 1, short enough to stay in the first cache: it is read twice. Sums are of
// differences from the first number: far from zero nothing is lost, and the variance of equal
// numbers is 0 exactly.
template <class S>
inline Moments moments_of(const S* x, int64_t n) {
  using T = accumulate_t<S>;
  const T first = widened(x[0]);
  const Vec<T> shift = static_cast<double>(first);
  double sum[1] = {};
  long_sums<T>(n, sum, [&](int64_t i, auto part, Vec<T>* acc) {
    acc[0] += load(x + i, part, first) - shift;
  });
  const auto count = static_cast<double>(n);
  const double mean = static_cast<double>(first) + sum[0] / count;
  const T center = static_cast<T>(mean);
  const double off = mean - static_cast<double>(center);  // what rounding took from the center
  const Vec<T> middle = static_cast<double>(center);
  double squares[1] = {};
  long_sums<T>(n, squares, [&](int64_t i, auto part, Vec<T>* acc) {
    Vec<T> d = load(x + i, part, center) - middle;
    acc[0] = fma(d, d, acc[0]);
  });
  if (!__builtin_isfinite(squares[0])) return wide_moments_of(x, n);
  const double about_mean = squares[0] - count * off * off;
  return {count, mean, about_mean < 0 ? 0 : about_mean};
}

// Adds a row to `total`. The first is read twice, the others once: their sums are of differences d
// from the mean so far, and sum d^2 - (sum d)^2 / n cancels no more than what merge then adds,
// (mean d)^2 times at least n / 2.
template <class S>
inline void add_row(const S* x, int64_t n, Moments& total) {
  using T = accumulate_t<S>;
  if (total.count == 0) {
    total = moments_of(x, n);
    return;
  }
  const T center = static_cast<T>(total.mean);
  const Vec<T> shift = static_cast<double>(center);
  double sums[2] = {};
  long_sums<T>(n, sums, [&](int64_t i, auto part, Vec<T>* acc) {
    Vec<T> d = load(x + i, part, center) - shift;
    acc[0] += d;
    acc[1] = fma(d, d, acc[1]);
  });
  if (!__builtin_isfinite(sums[1])) return total.merge(wide_moments_of(x, n));
  const auto count = static_cast<double>(n);
  const double mean = sums[0] / count, squares = sums[1] - sums[0] * mean;
  total.merge({count, static_cast<double>(center) + mean, squares < 0 ? 0 : squares});
}

// A mean in two parts, so that x - mean loses nothing in T: x - high - low.
template <class T>
struct SplitMean {
  T high;
  double low;
  explicit SplitMean(double mean)
      : high(static_cast<T>(mean)), low(mean - static_cast<double>(static_cast<T>(mean))) {}
};

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
