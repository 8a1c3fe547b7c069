#include <heed/backends/cross_entropy.h>

namespace heed::kernels::common {

int64_t first_bad_target(const Array& target, int64_t classes, int64_t ignore_index) {
  const auto* t = static_cast<const int64_t*>(target.raw());
  for (int64_t i = 0, n = target.numel(); i < n; ++i)
    if ((t[i] < 0 || t[i] >= classes) && t[i] != ignore_index) return i;
  return -1;
}

}  // namespace heed::kernels::common
