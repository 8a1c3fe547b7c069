// Normalization over the last axis.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// (x - mean) / sqrt(var + eps) * weight + bias; var with correction 0 (Ba et al. 2016).
// weight, bias: [D] or undefined.
Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps = 1e-5);
// layer_norm(x + residual) in one pass that saves only the sum: the residual step of post-norm.
Tensor add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps = 1e-5);
// x / sqrt(mean(x^2) + eps) * weight (Zhang & Sennrich 2019).
Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps = 1e-6);

Tensor layer_norm_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            double eps = 1e-5);
Tensor rms_norm_reference(const Tensor& x, const Tensor& weight, double eps = 1e-6);

}  // namespace heed
