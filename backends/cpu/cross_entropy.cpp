#include <heed/backends/cross_entropy.h>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

bool counts(int64_t target, int64_t classes, int64_t ignore_index) {
  return target != ignore_index && target >= 0 && target < classes;
}

template <class T>
double row_loss(const T* x, int64_t n, int64_t target, double smoothing, T* shift, T* log_sum) {
  T largest = row_max(x, n);
  if (largest == static_cast<T>(-__builtin_inf())) largest = T(0);
  Vec<T> m = static_cast<double>(largest);
  LongSum<T> sum, total;
  each_vec<T>(n, [&](int64_t i, auto part) {
    sum.add(exp(load(x + i, part, static_cast<T>(-__builtin_inf())) - m));
    if (smoothing > 0) total.add(load(x + i, part, largest) - m);
  });
  double log_z = __builtin_log(sum.value());
  *shift = largest;
  *log_sum = static_cast<T>(log_z);
  double loss =
      log_z - (1 - smoothing) * (static_cast<double>(x[target]) - static_cast<double>(largest));
  return smoothing > 0 ? loss - smoothing * total.value() / static_cast<double>(n) : loss;
}

template <class S>
void forward(const Array& logits, const Array& target, double smoothing, int64_t ignore_index,
             const Array& losses, const Array& shift, const Array& log_sum, const Array& counted) {
  using T = accumulate_t<S>;
  const int64_t rows = logits.shape()[0], n = logits.shape()[1];
  const S* x = pointer<S>(logits);
  const int64_t* t = pointer<int64_t>(target);
  T *to = pointer<T>(losses), *m = pointer<T>(shift), *z = pointer<T>(log_sum);
  parallel_for(rows, 1 + 16384 / n, [&](int64_t begin, int64_t end) {
    common::with_scratch(StagedRow<S>::bytes(n), [&](char* memory) {
      StagedRow<S> row{reinterpret_cast<T*>(memory)};
      for (int64_t r = begin; r < end; ++r)
        to[r] =
            counts(t[r], n, ignore_index)
                ? static_cast<T>(row_loss(row.read(x + r * n, n), n, t[r], smoothing, m + r, z + r))
                : T(0);
    });
  });
  int64_t count = 0;
  for (int64_t r = 0; r < rows; ++r) count += counts(t[r], n, ignore_index);
  *pointer<double>(counted) = count > 0 ? static_cast<double>(count) : 1.0;
}

template <class T>
void total_of(const Array& losses, const Array& divisor, const Array& total) {
  const T* values = pointer<T>(losses);
  double sum = 0;
  for (int64_t i = 0, n = losses.numel(); i < n; ++i) sum += static_cast<double>(values[i]);
  *pointer<T>(total) = static_cast<T>(divisor.defined() ? sum / *pointer<double>(divisor) : sum);
}

// dx = g (softmax(x) - (1 - e) onehot(target) - e / V), `scale` = g
template <class T>
void backward_row(const T* x, int64_t n, int64_t target, double smoothing, T shift, T log_sum,
                  double scale, T* out) {
  Vec<T> s = scale, even = scale * smoothing / static_cast<double>(n);
  Vec<T> max = static_cast<double>(shift), log_z = static_cast<double>(log_sum);
  each_vec<T>(n, [&](int64_t i, auto part) {
    store(out + i, exp(load(x + i, part) - max - log_z) * s - even, part);
  });
  out[target] -= static_cast<T>(scale * (1 - smoothing));
}

template <class S>
void backward(const Array& logits, const Array& target, double smoothing, int64_t ignore_index,
              const Array& shift, const Array& log_sum, const Array& cotangent,
              const Array& divisor, const Array& grad) {
  using T = accumulate_t<S>;
  const int64_t rows = logits.shape()[0], n = logits.shape()[1],
                step = cotangent.rank() == 0 ? 0 : 1;
  const S* x = pointer<S>(logits);
  const T *m = pointer<T>(shift), *z = pointer<T>(log_sum), *g = pointer<T>(cotangent);
  const int64_t* t = pointer<int64_t>(target);
  const double factor = divisor.defined() ? 1 / *pointer<double>(divisor) : 1;
  S* to = pointer<S>(grad);
  parallel_for(rows, 1 + 16384 / n, [&](int64_t begin, int64_t end) {
    common::with_scratch(StagedRow<S>::bytes(n), [&](char* memory) {
      StagedRow<S> row{reinterpret_cast<T*>(memory)};
      for (int64_t r = begin; r < end; ++r) {
        S* result = to + r * n;
        if (!counts(t[r], n, ignore_index)) {
          for (int64_t i = 0; i < n; ++i) result[i] = S{};
          continue;
        }
        backward_row(row.read(x + r * n, n), n, t[r], smoothing, m[r], z[r],
                     static_cast<double>(g[r * step]) * factor, row.target(result));
        row.write(n, result);
      }
    });
  });
}

}  // namespace

void cross_entropy(const Array& logits, const Array& target, double smoothing, int64_t ignore_index,
                   const Array& losses, const Array& shift, const Array& log_sum,
                   const Array& counted) {
  dispatch_floating("cross_entropy", logits.dtype(), [&](auto type) {
    forward<decltype(type)>(logits, target, smoothing, ignore_index, losses, shift, log_sum,
                            counted);
  });
}

void loss_total(const Array& losses, const Array& divisor, const Array& total) {
  dispatch_wide("loss_total", losses.dtype(),
                [&](auto type) { total_of<decltype(type)>(losses, divisor, total); });
}

void cross_entropy_backward(const Array& logits, const Array& target, double smoothing,
                            int64_t ignore_index, const Array& shift, const Array& log_sum,
                            const Array& cotangent, const Array& divisor, const Array& grad) {
  dispatch_floating("cross_entropy_backward", logits.dtype(), [&](auto type) {
    backward<decltype(type)>(logits, target, smoothing, ignore_index, shift, log_sum, cotangent,
                             divisor, grad);
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
