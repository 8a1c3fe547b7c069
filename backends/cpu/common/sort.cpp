#include <heed/backends/sort.h>

#include <algorithm>
#include <type_traits>
#include <vector>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/core/parallel.h>

namespace heed::kernels::common {
namespace {

template <class T>
struct Item {
  T value;
  int64_t index;
};

template <class T>
bool is_nan(T x) {
  return x != x;
}

// A total order: the index decides between equal elements, so any algorithm is stable.
template <bool kDescending, class T>
struct Before {
  bool operator()(const Item<T>& a, const Item<T>& b) const {
    if constexpr (std::is_floating_point_v<T>) {
      if (is_nan(a.value) != is_nan(b.value)) return is_nan(a.value) == kDescending;
      if (is_nan(a.value)) return a.index < b.index;
    }
    if (a.value != b.value) return kDescending ? a.value > b.value : a.value < b.value;
    return a.index < b.index;
  }
};

template <bool kDescending, class T>
void sort_typed(const Array& x, int axis, const Array& out) {
  const Shape& shape = x.shape();
  const int64_t n = shape[axis], k = out.shape()[axis], stride = x.strides()[axis];
  int64_t lanes = 1, inner = 1;
  for (int i = 0; i < shape.rank(); ++i)
    if (i != axis) lanes *= shape[i];
  for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  const T* source = static_cast<const T*>(x.raw());
  int64_t* target = static_cast<int64_t*>(out.raw());
  parallel_for(lanes, 1024 / (n + 1) + 1, [&](int64_t begin, int64_t end) {
    std::vector<Item<T>> items(static_cast<size_t>(n));
    for (int64_t lane = begin; lane < end; ++lane) {
      const T* p = source;
      for (int64_t rest = lane, i = shape.rank() - 1; i >= 0; --i) {
        if (i == axis) continue;
        p += rest % shape[static_cast<int>(i)] * x.strides()[static_cast<int>(i)];
        rest /= shape[static_cast<int>(i)];
      }
      for (int64_t i = 0; i < n; ++i) items[static_cast<size_t>(i)] = {p[i * stride], i};
      Before<kDescending, T> before;
      auto middle = items.begin() + k;
      if (k < n && k > 0) std::nth_element(items.begin(), middle - 1, items.end(), before);
      std::sort(items.begin(), middle, before);
      int64_t* to = target + lane / inner * k * inner + lane % inner;
      for (int64_t i = 0; i < k; ++i) to[i * inner] = items[static_cast<size_t>(i)].index;
    }
  });
}

template <class T>
void sort_either(const Array& x, int axis, bool descending, const Array& out) {
  descending ? sort_typed<true, T>(x, axis, out) : sort_typed<false, T>(x, axis, out);
}

}  // namespace

void sort_indices(const Array& x, int axis, bool descending, const Array& out) {
  const Array wide = widened(x);
  dispatch_types<float, double, int32_t, int64_t, uint8_t, bool>(
      "sort", wide.dtype(), [&](auto type) {
        using T = decltype(type);
        sort_either<std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>>(wide, axis, descending,
                                                                             out);
      });
}

}  // namespace heed::kernels::common
