// Optimizer steps, in place. f32, f64, bf16; all arrays contiguous and of one dtype, but the step
// state, f64 [kStepSlots] (autograd/ops/optimizer.h): what changes from step to step is read from
// there. For a parameter and gradient of bf16 the state is f32, with a `master` of the parameter that
// keeps what bf16 rounds away (undefined otherwise): see docs/checkpoints.md.
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

HEED_KERNEL(adam_step,
            void(const Array& parameter, const Array& master, const Array& gradient, const Array& m,
                 const Array& v, const Array& step_state, kernels::AdamRule rule));
// `buffer` undefined: no momentum.
HEED_KERNEL(sgd_step, void(const Array& parameter, const Array& master, const Array& gradient,
                           const Array& buffer, const Array& step_state, kernels::SgdRule rule));
// out f64 [] = sqrt(sum of squares of all elements of arrays[0 .. count)), summed in f64.
HEED_KERNEL(global_norm, void(const Array* arrays, int64_t count, const Array& out));
