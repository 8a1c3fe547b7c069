// The arithmetic of optimizers, in place on parameters and their state, one fused pass each.
// Nothing here is recorded. The numbers that change from step to step are kept in the step state, a
// small f64 tensor on the parameters' device that the kernels read and write, so that a step never
// reads a value back from the device.
#pragma once

#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

// The values of the step state [kStepValues], f64.
enum StepValue {
  kLearningRate,
  kStepNumber,
  kGradScale,   // the clip factor, 1 = none
  kFailedStep,  // the first step whose loss or gradient norm was not finite; 0: none. From then on
                // the updates below leave parameters, their state and the step number as they are.
  kStepValues
};
// Counts a step with this learning rate, unless one has failed.
void begin_step_(double learning_rate, const Tensor& step_state);
// Marks the next step as failed if `value`, a floating tensor of one element, is not finite.
void mark_not_finite_(const Tensor& value, const Tensor& step_state);
// The clip factor of the next step: min(1, max_norm / (norm + 1e-6)). A norm (f64 []) that is not
// finite marks that step as failed.
void set_clip_factor_(const Tensor& norm, double max_norm, const Tensor& step_state);
// values[i] <- kept[i] if a step has failed: takes back what its forward changed in place. Of any
// dtype, contiguous, pairs of one shape and dtype.
void restore_if_failed_(const std::vector<Tensor>& values, const std::vector<Tensor>& kept,
                        const Tensor& step_state);

struct AdamSettings {
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0, lr_factor = 1;
  bool decoupled = true;  // AdamW (Loshchilov & Hutter 2019); false: L2 added to the gradient
};
// Adam (Kingma & Ba 2015), with g scaled by kGradScale:
//
//   m <- b1 m + (1 - b1) g
//   v <- b2 v + (1 - b2) g^2
//   p <- p - lr m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps)
//
// f32, f64 and bf16. For a parameter and gradient of bf16, m and v are f32, and so is `master`: the
// parameter in full precision, without which small updates would be rounded away. It is used if it
// rounds to the parameter. If it does not, the parameter was set from elsewhere, and the
// parameter's value is used. So any master of the right shape will do at the start.
void adam_step_(const Tensor& parameter, const Tensor& gradient, const Tensor& m, const Tensor& v,
                const Tensor& step_state, const AdamSettings& settings,
                const Tensor& master = Tensor());

struct SgdSettings {
  double momentum = 0, dampening = 0, weight_decay = 0, lr_factor = 1;
  bool nesterov = false;
};
// PyTorch's rule: buffer <- momentum buffer + (1 - dampening) g (first step: g). `buffer` undefined
// when momentum = 0. bf16: buffer and master are f32, as above.
void sgd_step_(const Tensor& parameter, const Tensor& gradient, const Tensor& buffer, bool first,
               const Tensor& step_state, const SgdSettings& settings,
               const Tensor& master = Tensor());

// sqrt of the sum of squares of all elements of all tensors, accumulated in f64: f64 scalar tensor.
Tensor global_norm(const std::vector<Tensor>& tensors);

}  // namespace heed
