#include <heed/backends/pool.h>

#include <cstring>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/core/parallel.h>

namespace heed::kernels::common {

void max_pool_backward(const Array& from, const Array& index, const Array& to) {
  if (to.dtype() == DType::bf16) {
    const Array* outs[] = {&to};
    return in_f32(outs, 1, false,
                  [&](const Array* wide) { max_pool_backward(widened(from), index, *wide); });
  }
  const int64_t planes = to.dim(0), size = to.dim(1), seen = from.dim(1);
  const int32_t* places = static_cast<const int32_t*>(index.raw());
  dispatch_wide("max_pool_backward", to.dtype(), [&](auto type) {
    using T = decltype(type);
    const T* values = static_cast<const T*>(from.raw());
    T* sums = static_cast<T*>(to.raw());
    parallel_for(planes, 16384 / (size + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) {
        T* plane = sums + p * size;
        std::memset(plane, 0, static_cast<size_t>(size) * sizeof(T));
        for (int64_t m = p * seen; m < (p + 1) * seen; ++m) plane[places[m]] += values[m];
      }
    });
  });
}

}  // namespace heed::kernels::common
