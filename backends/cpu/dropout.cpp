#include <heed/backends/dropout.h>

#include <heed/backends/cpu/philox.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr int64_t kChunk =
    1024;  // elements whose scales are made at once, in the first-level cache

// f(first, count) for chunks, in parallel.
template <class F>
void chunks(int64_t n, F f) {
  parallel_for((n + kChunk - 1) / kChunk, 16, [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      int64_t first = c * kChunk;
      f(first, n - first < kChunk ? n - first : kChunk);
    }
  });
}

template <class T>
void forward(const Array& x, const Array& residual, bool relu, double p, RandomKey key,
             const Array& out) {
  const T* from = static_cast<const T*>(x.raw());
  const T* other = residual.defined() ? static_cast<const T*>(residual.raw()) : nullptr;
  T* to = static_cast<T*>(out.raw());
  PhiloxStream stream(key);
  chunks(x.numel(), [&](int64_t first, int64_t count) {
    T scale[kChunk];
    keep_scales(scale, count, stream, static_cast<uint64_t>(first), p);
    const T* a = from + first;
    T* y = to + first;
    if (relu)  // NaN stays: it is not < 0
      for (int64_t i = 0; i < count; ++i) scale[i] *= a[i] < T(0) ? T(0) : a[i];
    else
      for (int64_t i = 0; i < count; ++i) scale[i] *= a[i];
    if (other)
      for (int64_t i = 0; i < count; ++i) y[i] = other[first + i] + scale[i];
    else
      for (int64_t i = 0; i < count; ++i) y[i] = scale[i];
  });
}

template <class T>
void relu_backward(const Array& y, const Array& cotangent, double p, const Array& grad) {
  const T *py = static_cast<const T*>(y.raw()), *g = static_cast<const T*>(cotangent.raw());
  T* to = static_cast<T*>(grad.raw());
  const T scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  parallel_for(y.numel(), 32768, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T value = g[i] * scale;
      to[i] = py[i] > T(0) ? value : T(0);
    }
  });
}

template <class T>
void mask(double p, RandomKey key, const Array& out) {
  T* to = static_cast<T*>(out.raw());
  PhiloxStream stream(key);
  chunks(out.numel(), [&](int64_t first, int64_t count) {
    keep_scales(to + first, count, stream, static_cast<uint64_t>(first), p);
  });
}

}  // namespace

void dropout(const Array& x, const Array& residual, bool relu, double p, RandomKey key,
             const Array& out) {
  x.dtype() == DType::f32 ? forward<float>(x, residual, relu, p, key, out)
                          : forward<double>(x, residual, relu, p, key, out);
}

void relu_dropout_backward(const Array& y, const Array& cotangent, double p, const Array& grad) {
  y.dtype() == DType::f32 ? relu_backward<float>(y, cotangent, p, grad)
                          : relu_backward<double>(y, cotangent, p, grad);
}

void dropout_mask(double p, RandomKey key, const Array& out) {
  out.dtype() == DType::f32 ? mask<float>(p, key, out) : mask<double>(p, key, out);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
