#include <algorithm>
#include <cmath>
#include <cstring>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/optimizer.h>

namespace heed::kernels::common {
namespace {

// In the order of StepValue (autograd/ops/optimizer.h).
struct StepState {
  double learning_rate, step_number, grad_scale, failed_step;
};
StepState& of(const Array& step_state) { return *static_cast<StepState*>(step_state.raw()); }

void mark(bool finite, StepState& state) {
  if (!finite && state.failed_step == 0) state.failed_step = state.step_number + 1;
}

}  // namespace

void mark_not_finite(const Array& value, const Array& step_state) {
  dispatch_floating("mark_not_finite", value.dtype(), [&](auto type) {
    auto x = *value.data<decltype(type)>();
    if constexpr (std::is_same_v<decltype(type), bfloat16>)
      mark(std::isfinite(to_float(x)), of(step_state));
    else mark(std::isfinite(x), of(step_state));
  });
}

void clip_factor(const Array& norm, double max_norm, const Array& step_state) {
  double x = *norm.data<double>();
  mark(std::isfinite(x), of(step_state));
  of(step_state).grad_scale = std::min(1.0, max_norm / (x + 1e-6));
}

void begin_step(double learning_rate, const Array& step_state) {
  StepState& state = of(step_state);
  if (state.failed_step != 0) return;
  state.learning_rate = learning_rate;
  state.step_number += 1;
}

void restore_if_failed(std::span<const Array> values, std::span<const Array> kept,
                       const Array& step_state) {
  if (of(step_state).failed_step == 0) return;
  for (size_t i = 0; i < values.size(); ++i)
    if (values[i].numel() > 0)
      std::memcpy(values[i].raw(), kept[i].raw(), static_cast<size_t>(values[i].bytes()));
}

}  // namespace heed::kernels::common
