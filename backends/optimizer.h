// Optimizer steps, in place. f32, f64, bf16; all arrays are contiguous and of one dtype, except the
// step state, f64 [kStepValues] (autograd/ops/optimizer.h), from which everything is read that
// changes from step to step. For a parameter and gradient of bf16, the optimizer's state is f32,
// and `master` is an f32 copy of the parameter that keeps what bf16 rounds away (undefined
// otherwise): see docs/checkpoints.md.
#pragma once

#include <heed/backends/kernel.h>

namespace heed::kernels {

struct AdamRule {
  double beta1, beta2, eps, weight_decay, lr_factor;
  bool decoupled;
};
struct SgdRule {
  double momentum, dampening, weight_decay, lr_factor;
  bool nesterov, first;  // first: the buffer is uninitialised and not read
};

}  // namespace heed::kernels

HEED_KERNEL(adam_step,
            void(const Array& parameter, const Array& master, const Array& gradient, const Array& m,
                 const Array& v, const Array& step_state, kernels::AdamRule rule));
// `buffer` undefined: no momentum.
HEED_KERNEL(sgd_step, void(const Array& parameter, const Array& master, const Array& gradient,
                           const Array& buffer, const Array& step_state, kernels::SgdRule rule));
// The next three change the step state (its values: autograd/ops/optimizer.h).
//
// Marks the next step as failed if `value` (one element; f32, f64, bf16) is not finite.
HEED_KERNEL_ONCE(mark_not_finite, void(const Array& value, const Array& step_state));
// Sets the clip factor to min(1, max_norm / (norm + 1e-6)); norm f64 [], marked as above.
HEED_KERNEL_ONCE(clip_factor, void(const Array& norm, double max_norm, const Array& step_state));
// Counts a step with this learning rate, unless one has failed.
HEED_KERNEL_ONCE(begin_step, void(double learning_rate, const Array& step_state));
// values[i] = kept[i] if a step has failed. Any dtype, contiguous.
HEED_KERNEL_ONCE(restore_if_failed, void(std::span<const Array> values, std::span<const Array> kept,
                                         const Array& step_state));
// out f64 [] = sqrt(sum of squares of all elements of all arrays), summed in f64.
HEED_KERNEL(global_norm, void(std::span<const Array> arrays, const Array& out));
