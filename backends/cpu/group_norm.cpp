#include <heed/backends/group_norm.h>

#include <heed/backends/cpu/moments.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A lot is what is normalised together: `of_lot` channels of one sample, side by side.
struct Lots {
  int64_t batch, channels, size, groups, of_lot;
  Lots(const Shape& x, const Shape& statistics)
      : batch(x[0]),
        channels(x[1]),
        size(x[2]),
        groups(statistics[2]),
        of_lot(groups == 0 ? 0 : channels / groups) {}
  int64_t count() const { return batch * groups; }
  int64_t numbers() const { return of_lot * size; }
  int64_t first_channel(int64_t lot) const { return lot % groups * of_lot; }
  template <class F>
  void each(F f) const {
    if (numbers() == 0) return;
    parallel_for(count(), 1 + kNormGrain / numbers(), [&](int64_t begin, int64_t end) {
      for (int64_t lot = begin; lot < end; ++lot) f(lot);
    });
  }
};

template <class S>
double at(const S* vector, int64_t c, double without) {
  return vector ? static_cast<double>(widened(vector[c])) : without;
}

template <class S>
void forward(const Array& x, const Array& weight, const Array& bias, double eps,
             const Array& statistics, const Array& out) {
  using T = accumulate_t<S>;
  const Lots lots(x.shape(), statistics.shape());
  const S *from = pointer<S>(x), *w = pointer<S>(weight), *b = pointer<S>(bias);
  S* to = pointer<S>(out);
  double *means = pointer<double>(statistics), *rstds = means + lots.count();
  lots.each([&](int64_t lot) {
    const int64_t n = lots.numbers(), offset = lot * n,
                  pieces = (n + kMomentsRow - 1) / kMomentsRow;
    Moments total;
    for (int64_t p = 0; p < pieces; ++p)
      add_row(from + offset + n * p / pieces, n * (p + 1) / pieces - n * p / pieces, total);
    const double rstd = 1 / __builtin_sqrt(total.squares / total.count + eps);
    means[lot] = total.mean;
    rstds[lot] = rstd;
    const SplitMean<T> center(total.mean);
    const Vec<T> high = static_cast<double>(center.high);
    for (int64_t k = 0; k < lots.of_lot; ++k) {
      const int64_t c = lots.first_channel(lot) + k, row = offset + k * lots.size;
      const double factor = rstd * at(w, c, 1);
      const Vec<T> scale = factor, shift = at(b, c, 0) - center.low * factor;
      each_vec<T>(lots.size, [&](int64_t i, auto part) {
        store(to + row + i, fma(load(from + row + i, part) - high, scale, shift), part);
      });
    }
  });
}

// Of one channel of one sample: the sums of g and of g xhat.
struct RowSums {
  double g, gx;
};

// y = xhat w + b, xhat = (x - mean) rstd. With h = g w and n numbers in a lot:
// dx = rstd (h - sum(h) / n - xhat sum(h xhat) / n).
template <class S>
void backward(const Array& x, const Array& weight, const Array& statistics, const Array& cotangent,
              const Array& dx, const Array& dweight, const Array& dbias, RowSums* sums) {
  using T = accumulate_t<S>;
  const Lots lots(x.shape(), statistics.shape());
  const S *from = pointer<S>(x), *g = pointer<S>(cotangent), *w = pointer<S>(weight);
  S* to = pointer<S>(dx);
  const double *means = pointer<double>(statistics), *rstds = means + lots.count();
  lots.each([&](int64_t lot) {
    const int64_t n = lots.numbers(), first = lots.first_channel(lot);
    const double rstd = rstds[lot];
    const SplitMean<T> center(means[lot]);
    const Vec<T> high = static_cast<double>(center.high);
    double sum_h = 0, sum_hx = 0;
    for (int64_t k = 0; k < lots.of_lot; ++k) {
      const int64_t row = lot * n + k * lots.size;
      double s[2] = {};
      long_sums<T>(lots.size, s, [&](int64_t i, auto part, Vec<T>* acc) {
        Vec<T> gi = load(g + row + i, part);
        acc[0] += gi;
        acc[1] = fma(gi, load(from + row + i, part, center.high) - high, acc[1]);
      });
      RowSums& own = sums[lot * lots.of_lot + k];
      own = {s[0], (s[1] - center.low * s[0]) * rstd};
      sum_h += own.g * at(w, first + k, 1);
      sum_hx += own.gx * at(w, first + k, 1);
    }
    if (!to) return;
    const double slope = -rstd * rstd * sum_hx / static_cast<double>(n);
    const Vec<T> factor = rstd, b = slope, d = -slope * center.low;
    const Vec<T> mean_h = sum_h / static_cast<double>(n);
    for (int64_t k = 0; k < lots.of_lot; ++k) {
      const int64_t row = lot * n + k * lots.size;
      const Vec<T> own_weight = at(w, first + k, 1);
      each_vec<T>(lots.size, [&](int64_t i, auto part) {
        Vec<T> xi = load(from + row + i, part) - high;
        Vec<T> h = load(g + row + i, part) * own_weight - mean_h;  // 0 exactly where all are equal
        store(to + row + i, fma(h, factor, fma(xi, b, d)), part);
      });
    }
  });
  S *dw = pointer<S>(dweight), *db = pointer<S>(dbias);
  if (!dw && !db) return;
  for (int64_t c = 0; c < lots.channels; ++c) {
    RowSums total{0, 0};
    for (int64_t s = 0; lots.size > 0 && s < lots.batch; ++s) {
      total.g += sums[s * lots.channels + c].g;
      total.gx += sums[s * lots.channels + c].gx;
    }
    if (dw) dw[c] = narrowed<S>(total.gx);
    if (db) db[c] = narrowed<S>(total.g);
  }
}

}  // namespace

void group_norm(const Array& x, const Array& weight, const Array& bias, double eps,
                const Array& statistics, const Array& out) {
  dispatch_floating("group_norm", x.dtype(), [&](auto type) {
    forward<decltype(type)>(x, weight, bias, eps, statistics, out);
  });
}

void group_norm_backward(const Array& x, const Array& weight, const Array& statistics,
                         const Array& cotangent, const Array& dx, const Array& dweight,
                         const Array& dbias) {
  const int64_t rows = x.shape()[0] * x.shape()[1];
  common::with_scratch(rows * static_cast<int64_t>(sizeof(RowSums)), [&](char* scratch) {
    dispatch_floating("group_norm_backward", x.dtype(), [&](auto type) {
      backward<decltype(type)>(x, weight, statistics, cotangent, dx, dweight, dbias,
                               reinterpret_cast<RowSums*>(scratch));
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
