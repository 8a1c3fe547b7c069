#include <heed/backends/batch_norm.h>

#include <heed/backends/cpu/dispatch.h>

namespace heed::kernels::common {

void update_running(const Array& mean, const Array& var, std::optional<double> momentum,
                    const Array& running_mean, const Array& running_var, const Array& count) {
  const int64_t number = ++*count.data<int64_t>();
  const double share = momentum.value_or(1 / static_cast<double>(number));
  dispatch_wide("update_running", mean.dtype(), [&](auto type) {
    using T = decltype(type);
    auto move = [&](const T* batch, T* running) {
      for (int64_t c = 0; c < mean.numel(); ++c)
        running[c] = static_cast<T>((1 - share) * static_cast<double>(running[c]) +
                                    share * static_cast<double>(batch[c]));
    };
    move(mean.data<T>(), running_mean.data<T>());
    move(var.data<T>(), running_var.data<T>());
  });
}

}  // namespace heed::kernels::common
