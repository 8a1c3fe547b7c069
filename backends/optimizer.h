// Optimizer steps, in place. f32, f64; all arrays contiguous and of one dtype, but the step state,
// f64 [kStepSlots] (autograd/ops/optimizer.h): what changes from step to step is read from there.
#pragma once

#include <heed/backends/kernel.h>

namespace heed::kernels {

struct AdamRule {
  double beta1, beta2, eps, weight_decay, lr_factor;
  bool decoupled;
};
struct SgdRule {
  double momentum, dampening, weight_decay, lr_factor;
  bool nesterov, first;  // first: the buffer has no past
};

}  // namespace heed::kernels

HEED_KERNEL(adam_step, void(const Array& parameter, const Array& gradient, const Array& m,
                            const Array& v, const Array& step_state, kernels::AdamRule rule));
// `buffer` undefined: no momentum.
HEED_KERNEL(sgd_step, void(const Array& parameter, const Array& gradient, const Array& buffer,
                           const Array& step_state, kernels::SgdRule rule));
// out f64 [] = sqrt(sum of squares of all elements of all arrays), summed in f64.
HEED_KERNEL(global_norm, void(std::span<const Array> arrays, const Array& out));
