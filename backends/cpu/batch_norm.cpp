#include <heed/backends/batch_norm.h>

#include <heed/backends/cpu/batch_norm_layout.h>
#include <heed/backends/cpu/moments.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// S: the arrays' type; T: what is computed in, and the type of mean and var.
template <class S>
struct Forward {
  using T = accumulate_t<S>;
  const S *x, *residual, *weight, *bias;
  S* out;
  double *mean, *rstd;

  // out = act((x - mean) scale + bias + residual); the mean's low part goes into the shift.
  template <bool kResidual, bool kRelu>
  void row(int64_t c, int64_t offset, int64_t n) const {
    const SplitMean<T> center(mean[c]);
    const double factor = rstd[c] * (weight ? static_cast<double>(widened(weight[c])) : 1);
    const double added = bias ? static_cast<double>(widened(bias[c])) : 0;
    const Vec<T> high = static_cast<double>(center.high), scale = factor;
    const Vec<T> shift = added - center.low * factor, zero = 0.0;
    const S *from = x + offset, *other = kResidual ? residual + offset : nullptr;
    S* to = out + offset;
    each_vec<T>(n, [&](int64_t i, auto part) {
      Vec<T> y = fma(load(from + i, part) - high, scale, shift);
      if constexpr (kResidual) y += load(other + i, part);
      if constexpr (kRelu) y = where(y < zero, zero, y);  // a NaN stays
      store(to + i, y, part);
    });
  }
};

template <class F>
void with_flags(bool residual, bool relu, F f) {
  using std::bool_constant;
  if (residual)
    relu ? f(bool_constant<true>(), bool_constant<true>())
         : f(bool_constant<true>(), bool_constant<false>());
  else
    relu ? f(bool_constant<false>(), bool_constant<true>())
         : f(bool_constant<false>(), bool_constant<false>());
}

template <class S>
Forward<S> arrays(const Array& x, const Array& residual, const Array& weight, const Array& bias,
                  const Array& statistics, const Array& out) {
  double* of_channels = pointer<double>(statistics);
  return {pointer<S>(x),   pointer<S>(residual), pointer<S>(weight),        pointer<S>(bias),
          pointer<S>(out), of_channels,          of_channels + x.shape()[1]};
}

template <class S>
void forward(const Forward<S>& f, const Shape& shape, bool relu, double eps, const Array& mean,
             const Array& var) {
  using T = accumulate_t<S>;
  const ChannelLayout layout(shape, sizeof(S));
  T *batch_mean = pointer<T>(mean), *batch_var = pointer<T>(var);
  auto reduce = [&](int64_t, int64_t offset, int64_t n, Moments& total) {
    add_row(f.x + offset, n, total);
  };
  auto finish = [&](int64_t c, const Moments& total) {
    f.mean[c] = total.mean;
    f.rstd[c] = 1 / __builtin_sqrt(total.squares / total.count + eps);
    batch_mean[c] = static_cast<T>(total.mean);
    batch_var[c] = static_cast<T>(total.squares / (total.count - 1));
  };
  common::with_scratch(layout.scratch_bytes<Moments>(), [&](char* scratch) {
    with_flags(f.residual, relu, [&](auto with_residual, auto with_relu) {
      layout.run(reinterpret_cast<Moments*>(scratch), reduce, finish,
                 [&](int64_t c, int64_t offset, int64_t n) {
                   f.template row<with_residual, with_relu>(c, offset, n);
                 });
    });
  });
}

template <class S>
void given(const Forward<S>& f, const Shape& shape, bool relu, double eps, const Array& mean,
           const Array& var) {
  using T = accumulate_t<S>;
  const ChannelLayout layout(shape, sizeof(S));
  for (int64_t c = 0; c < layout.channels; ++c) {
    f.mean[c] = static_cast<double>(pointer<T>(mean)[c]);
    f.rstd[c] = 1 / __builtin_sqrt(static_cast<double>(pointer<T>(var)[c]) + eps);
  }
  const int64_t rows = layout.rows(), of_sample = 1 + layout.channels * layout.size;
  if (rows == 0) return;
  with_flags(f.residual, relu, [&](auto with_residual, auto with_relu) {
    auto write = [&](int64_t c, int64_t offset, int64_t n) {
      f.template row<with_residual, with_relu>(c, offset, n);
    };
    if (rows >= num_threads())
      return parallel_for(rows, 1 + kNormGrain * layout.pieces / of_sample,
                          [&](int64_t begin, int64_t end) {
                            layout.each_row(0, layout.channels, begin, end, write);
                          });
    parallel_for(layout.channels, 1 + kNormGrain / (1 + layout.count()),
                 [&](int64_t begin, int64_t end) { layout.each_row(begin, end, 0, rows, write); });
  });
}

}  // namespace

void batch_norm(const Array& x, const Array& residual, const Array& weight, const Array& bias,
                double eps, bool relu, const Array& statistics, const Array& mean, const Array& var,
                const Array& out) {
  dispatch_floating("batch_norm", x.dtype(), [&](auto type) {
    forward(arrays<decltype(type)>(x, residual, weight, bias, statistics, out), x.shape(), relu,
            eps, mean, var);
  });
}

void batch_norm_given(const Array& x, const Array& residual, const Array& weight, const Array& bias,
                      const Array& mean, const Array& var, double eps, bool relu,
                      const Array& statistics, const Array& out) {
  dispatch_floating("batch_norm_given", x.dtype(), [&](auto type) {
    given(arrays<decltype(type)>(x, residual, weight, bias, statistics, out), x.shape(), relu, eps,
          mean, var);
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
