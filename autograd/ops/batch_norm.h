// Batch normalization (Ioffe & Szegedy 2015) of x [B, C, ...spatial]: each channel over batch and
// space, any number of spatial axes, none too. f32, f64, bf16, which is computed in f32.
//
//   y = act((x - mean) / sqrt(var + eps) * weight + bias + residual)
//
// act is max(., 0) with `relu`, otherwise nothing. weight and bias [C] are of x's dtype, or
// undefined (1 and 0). Statistics, [C], are f32 for bf16 and otherwise of x's dtype. With ReLU and
// residual in the same op, what a residual network does between two convolutions passes over memory
// once.
//
//   auto [y, mean, var] = batch_norm_training(x, weight, bias, {.relu = true});
//   update_running_(mean, var, 0.1, running_mean, running_var, num_batches_tracked);
//   Tensor z = batch_norm(x, running_mean, running_var, weight, bias);   // in evaluation
//
// nn::BatchNorm1d, 2d and 3d (nn/batch_norm.h) do this. ShapeError: x of rank below 2, vectors that
// are not [C], a residual of another shape. ValueError: eps < 0.
#pragma once

#include <optional>

#include <heed/autograd/tensor.h>

namespace heed {

struct BatchNormOptions {
  double eps = 1e-5;
  bool relu = false;
  Tensor residual = {};  // of x's shape and dtype
};

// By the statistics given, which are constants: x, weight, bias and residual get gradients.
Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& options = {});

// What the batch itself has: y is normalised by its mean and its variance with correction 0. `var`
// has correction 1, as running averages take it. mean and var are constants.
struct BatchNormOutput {
  Tensor y, mean, var;
};
// ValueError unless each channel has 2 values or more.
BatchNormOutput batch_norm_training(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const BatchNormOptions& options = {});

// In place, and not recorded, with the results of the above:
//   num_batches_tracked += 1;  running += f (batch - running),  for mean and var;
// f = momentum, or without one 1 / num_batches_tracked, which makes it the average of all batches.
// All statistics are of one dtype and shape; num_batches_tracked is i64 []. Nothing is read back.
void update_running_(const Tensor& mean, const Tensor& var, std::optional<double> momentum,
                     const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& num_batches_tracked);

Tensor batch_norm_reference(const Tensor& x, const Tensor& mean, const Tensor& var,
                            const Tensor& weight, const Tensor& bias,
                            const BatchNormOptions& options = {});
Tensor batch_norm_training_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const BatchNormOptions& options = {});

}  // namespace heed
