#include <heed/backends/dropout.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/philox.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Elements whose scales are made at once; they fit in the first-level cache.
constexpr int64_t kChunk = 1024;

// f(first, count) on chunks, in parallel.
template <class F>
void chunks(int64_t n, F f) {
  parallel_for((n + kChunk - 1) / kChunk, 16, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      int64_t first = c * kChunk;
      f(first, n - first < kChunk ? n - first : kChunk);
    }
  });
}

template <class S>
void forward(const Array& x, const Array& residual, bool relu, double p, RandomKey key,
             const Array& out) {
  using T = accumulate_t<S>;
  const S* from = static_cast<const S*>(x.raw());
  const S* other = residual.defined() ? static_cast<const S*>(residual.raw()) : nullptr;
  S* to = static_cast<S*>(out.raw());
  PhiloxStream stream(key);
  chunks(x.numel(), [&](int64_t first, int64_t count) {
    T scale[kChunk];
    keep_scales(scale, count, stream, static_cast<uint64_t>(first), p);
    const S* a = from + first;
    S* y = to + first;
    if (relu)  // NaN stays: it is not < 0
      for (int64_t i = 0; i < count; ++i) scale[i] *= widened(a[i]) < T(0) ? T(0) : widened(a[i]);
    else
      for (int64_t i = 0; i < count; ++i) scale[i] *= widened(a[i]);
    if (other)
      for (int64_t i = 0; i < count; ++i) y[i] = narrowed<S>(widened(other[first + i]) + scale[i]);
    else
      for (int64_t i = 0; i < count; ++i) y[i] = narrowed<S>(scale[i]);
  });
}

template <class S>
void relu_backward(const Array& y, const Array& cotangent, double p, const Array& grad) {
  using T = accumulate_t<S>;
  const S *py = static_cast<const S*>(y.raw()), *g = static_cast<const S*>(cotangent.raw());
  S* to = static_cast<S*>(grad.raw());
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  parallel_for(y.numel(), 32768, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T value = widened(g[i]) * scale;
      to[i] = narrowed<S>(widened(py[i]) > T(0) ? value : T(0));
    }
  });
}

template <class S>
void mask(double p, RandomKey key, const Array& out) {
  S* to = static_cast<S*>(out.raw());
  PhiloxStream stream(key);
  chunks(out.numel(), [&](int64_t first, int64_t count) {
    accumulate_t<S> buffer[StagedRow<S>::staged ? kChunk : 1];
    StagedRow<S> row{buffer};
    keep_scales(row.target(to + first), count, stream, static_cast<uint64_t>(first), p);
    row.write(count, to + first);
  });
}

}  // namespace

void dropout(const Array& x, const Array& residual, bool relu, double p, RandomKey key,
             const Array& out) {
  dispatch_floating("dropout", x.dtype(),
                    [&](auto type) { forward<decltype(type)>(x, residual, relu, p, key, out); });
}

void relu_dropout_backward(const Array& y, const Array& cotangent, double p, const Array& grad) {
  dispatch_floating("relu_dropout_backward", y.dtype(),
                    [&](auto type) { relu_backward<decltype(type)>(y, cotangent, p, grad); });
}

void dropout_mask(double p, RandomKey key, const Array& out) {
  dispatch_floating("dropout_mask", out.dtype(),
                    [&](auto type) { mask<decltype(type)>(p, key, out); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
