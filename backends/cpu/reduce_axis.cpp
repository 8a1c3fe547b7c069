// arg_extreme: along one axis; the other axes are outer and inner loops.
#include <heed/backends/reduce.h>

#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// Offset of element `index` (row-major) of all axes but `axis`.
int64_t lane_offset(const Shape& sizes, const Strides& strides, int axis, int64_t index) {
  int64_t at = 0;
  for (int i = sizes.rank() - 1; i >= 0; --i) {
    if (i == axis) continue;
    at += index % sizes[i] * strides[i];
    index /= sizes[i];
  }
  return at;
}

int64_t lanes_of(const Shape& sizes, int axis) {
  int64_t n = 1;
  for (int i = 0; i < sizes.rank(); ++i)
    if (i != axis) n *= sizes[i];
  return n;
}

template <bool kLargest, class T>
bool beats(T a, T best) {
  if constexpr (std::is_floating_point_v<T>)
    if (a != a) return best == best;
  return kLargest ? a > best : a < best;
}

template <bool kLargest, class T>
int64_t best_strided(const T* p, int64_t n, int64_t stride) {
  auto best = widened(p[0]);
  int64_t at = 0;
  for (int64_t i = 1; i < n; ++i)
    if (beats<kLargest>(widened(p[i * stride]), best)) {
      best = widened(p[i * stride]);
      at = i;
    }
  return at;
}

// Finds the value with vectors, then the first index that holds it.
template <bool kLargest, class T>
int64_t best_contiguous(const T* p, int64_t n) {
  using V = Vec<T>;
  constexpr int64_t w = V::width;
  V best = V::load(p), total = best - best;  // x - x is NaN for NaN and infinities, else 0
  int64_t i = w;
  for (; i + w <= n; i += w) {
    V x = V::load(p + i);
    best = kLargest ? max_keep(best, x) : min_keep(best, x);
    total += x - x;
  }
  if (!(total.sum() == T(0))) return best_strided<kLargest>(p, n, 1);
  T value = kLargest ? best.largest() : -((-best).largest());
  for (; i < n; ++i) value = beats<kLargest>(p[i], value) ? p[i] : value;
  if (value != value) return best_strided<kLargest>(p, n, 1);
  int64_t at = 0;
  while (p[at] != value) ++at;
  return at;
}

template <bool kLargest, class T>
void arg_typed(const Array& x, int axis, const Array& out) {
  const T* source = static_cast<const T*>(x.raw());
  int64_t* target = static_cast<int64_t*>(out.raw());
  const int64_t n = x.shape()[axis], stride = x.strides()[axis];
  parallel_for(lanes_of(x.shape(), axis), (1 << 13) / n + 1, [&](int64_t begin, int64_t end) {
    for (int64_t lane = begin; lane < end; ++lane) {
      const T* p = source + lane_offset(x.shape(), x.strides(), axis, lane);
      if constexpr (std::is_floating_point_v<T>) {
        if (stride == 1 && n >= 4 * Vec<T>::width) {
          target[lane] = best_contiguous<kLargest>(p, n);
          continue;
        }
      }
      target[lane] = best_strided<kLargest>(p, n, stride);
    }
  });
}

template <class T>
void arg_either(const Array& x, int axis, bool largest, const Array& out) {
  largest ? arg_typed<true, T>(x, axis, out) : arg_typed<false, T>(x, axis, out);
}

}  // namespace

void arg_extreme(const Array& x, int axis, bool largest, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t, uint8_t, bool>(
      "arg_extreme", x.dtype(), [&](auto type) {
        using T = decltype(type);
        arg_either<std::conditional_t<__is_same(T, bool), uint8_t, T>>(x, axis, largest, out);
      });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
