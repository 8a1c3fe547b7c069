#include <heed/backends/batch_norm.h>

#include <heed/backends/cpu/batch_norm_layout.h>
#include <heed/backends/cpu/moments.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Of one channel: the sums of g and of g (x - mean), g being the gradient behind relu.
struct GradientSums {
  double g = 0, gx = 0;
  void merge(const GradientSums& other) {
    g += other.g;
    gx += other.gx;
  }
};

// With xhat = (x - mean) rstd and n numbers in a channel:
//   dx = rstd w (g - sum(g) / n - xhat sum(g xhat) / n) = a (g - mean_g) + b (x - high) + d,
// high being the mean in T.
struct Coefficients {
  double a, mean_g, b, d;
};

template <class S, bool kRelu>
struct Backward {
  using T = accumulate_t<S>;
  const S *x, *weight, *out, *cotangent;
  const double *mean, *rstd;
  bool constant;
  S *dx, *dresidual, *dweight, *dbias;
  Coefficients* coefficients;  // one a channel

  template <class Part>
  Vec<T> gradient(int64_t at, Part part) const {
    Vec<T> g = load(cotangent + at, part);
    if constexpr (kRelu) {
      const Vec<T> zero = 0.0;
      g = where(load(out + at, part) > zero, g, zero);
    }
    return g;
  }

  void reduce(int64_t c, int64_t offset, int64_t n, GradientSums& total) const {
    const SplitMean<T> center(mean[c]);
    const Vec<T> high = static_cast<double>(center.high);
    double sums[2] = {};
    long_sums<T>(n, sums, [&](int64_t i, auto part, Vec<T>* acc) {
      Vec<T> g = gradient(offset + i, part);
      acc[0] += g;
      acc[1] = fma(g, load(x + offset + i, part, center.high) - high, acc[1]);
    });
    total.merge({sums[0], sums[1] - center.low * sums[0]});
  }

  void finish(int64_t c, const GradientSums& total, double count) const {
    if (dweight) dweight[c] = narrowed<S>(total.gx * rstd[c]);
    if (dbias) dbias[c] = narrowed<S>(total.g);
    Coefficients& k = coefficients[c];
    k = {rstd[c] * (weight ? static_cast<double>(widened(weight[c])) : 1), 0, 0, 0};
    if (constant) return;
    k.b = -k.a * rstd[c] * rstd[c] * total.gx / count;
    k.mean_g = total.g / count;
    k.d = -k.b * SplitMean<T>(mean[c]).low;
  }

  void write(int64_t c, int64_t offset, int64_t n) const {
    const Coefficients& k = coefficients[c];
    const Vec<T> a = k.a, mean_g = k.mean_g, b = k.b, d = k.d;
    const Vec<T> high = static_cast<double>(SplitMean<T>(mean[c]).high);
    if (!dx) {
      if (dresidual)
        each_vec<T>(n, [&](int64_t i, auto part) {
          store(dresidual + offset + i, gradient(offset + i, part), part);
        });
      return;
    }
    each_vec<T>(n, [&](int64_t i, auto part) {
      Vec<T> g = gradient(offset + i, part);
      if (dresidual) store(dresidual + offset + i, g, part);
      Vec<T> from_x = fma(load(x + offset + i, part) - high, b, d);
      store(dx + offset + i, fma(g - mean_g, a, from_x), part);
    });
  }
};

template <class S, bool kRelu>
void run(Backward<S, kRelu> f, const Shape& shape) {
  const ChannelLayout layout(shape, sizeof(S));
  const int64_t totals = layout.scratch_bytes<GradientSums>();
  const auto count = static_cast<double>(layout.count());
  // Given statistics need no sums for dx.
  const bool sums = !f.constant || f.dweight || f.dbias;
  common::with_scratch(
      totals + layout.channels * static_cast<int64_t>(sizeof(Coefficients)), [&](char* scratch) {
        f.coefficients = reinterpret_cast<Coefficients*>(scratch + totals);
        layout.run(
            reinterpret_cast<GradientSums*>(scratch),
            [&](int64_t c, int64_t offset, int64_t n, GradientSums& total) {
              if (sums) f.reduce(c, offset, n, total);
            },
            [&](int64_t c, const GradientSums& total) { f.finish(c, total, count); },
            [&](int64_t c, int64_t offset, int64_t n) { f.write(c, offset, n); });
      });
}

template <class S, bool kRelu>
void backward(const Array& x, const Array& weight, const Array& statistics, const Array& out,
              const Array& cotangent, bool constant, const Array& dx, const Array& dresidual,
              const Array& dweight, const Array& dbias) {
  const double* of_channels = pointer<double>(statistics);
  run(Backward<S, kRelu>{pointer<S>(x), pointer<S>(weight), pointer<S>(out), pointer<S>(cotangent),
                         of_channels, of_channels + x.shape()[1], constant, pointer<S>(dx),
                         pointer<S>(dresidual), pointer<S>(dweight), pointer<S>(dbias), nullptr},
      x.shape());
}

}  // namespace

void batch_norm_backward(const Array& x, const Array& weight, const Array& statistics,
                         const Array& out, const Array& cotangent, bool constant, const Array& dx,
                         const Array& dresidual, const Array& dweight, const Array& dbias) {
  dispatch_floating("batch_norm_backward", x.dtype(), [&](auto type) {
    using S = decltype(type);
    (out.defined() ? backward<S, true> : backward<S, false>)(x, weight, statistics, out, cotangent,
                                                             constant, dx, dresidual, dweight,
                                                             dbias);
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
