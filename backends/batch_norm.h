// Batch norm of x [B, C, S], contiguous: each channel over B and S. f32, f64, bf16. `statistics`
// (f64 [2, C]: mean and 1 / sqrt(var + eps)) is what backward reads. weight, bias [C] and residual
// (x's shape) are of x's dtype. Undefined arrays mean: weight 1, bias 0, no residual, a result that
// is not wanted. No output may be an input.
#pragma once

#include <optional>

#include <heed/backends/kernel.h>

// out = act((x - mean) rstd weight + bias + residual) by the batch's own mean and (biased)
// variance, act = max(., 0) if `relu`. Results besides out: statistics; mean and var [C], f32 for
// bf16, var with correction 1. B S >= 2.
HEED_KERNEL(batch_norm, void(const Array& x, const Array& residual, const Array& weight,
                             const Array& bias, double eps, bool relu, const Array& statistics,
                             const Array& mean, const Array& var, const Array& out));
// The same by a given mean and variance [C], f32 for bf16.
HEED_KERNEL(batch_norm_given,
            void(const Array& x, const Array& residual, const Array& weight, const Array& bias,
                 const Array& mean, const Array& var, double eps, bool relu,
                 const Array& statistics, const Array& out));
// Gradients of either; `constant`: mean and variance do not depend on x. `out`: the result, if it
// went through relu, otherwise undefined.
HEED_KERNEL(batch_norm_backward,
            void(const Array& x, const Array& weight, const Array& statistics, const Array& out,
                 const Array& cotangent, bool constant, const Array& dx, const Array& dresidual,
                 const Array& dweight, const Array& dbias));
// count (i64 []) += 1; running += f (batch - running) for mean and var [C]; f = momentum, or
// 1 / count without one. The four are of one dtype, f32 or f64.
HEED_KERNEL_ONCE(update_running,
                 void(const Array& mean, const Array& var, std::optional<double> momentum,
                      const Array& running_mean, const Array& running_var, const Array& count));
