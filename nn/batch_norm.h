// Batch normalization with running statistics, as PyTorch has it; formulas in
// autograd/ops/batch_norm.h.
//
//   nn::BatchNorm2d norm(64);
//   Tensor y = relu(norm.forward(x));             // or, in one pass over memory:
//   Tensor y = norm.forward_relu(x);              // relu(norm(x))
//   Tensor z = norm.forward_add_relu(x, skip);    // relu(norm(x) + skip)
//
// In training x is normalised by its own mean and variance, and running_mean and running_var move
// towards these by `momentum`; in evaluation x is normalised by the running ones. The running
// statistics are buffers:
//
//   - They are updated once each forward in training mode, under NoGrad too; not where recompute()
//     runs a function once more.
//   - A step of Trainer that failed or is run again leaves them as they were (train/trainer.h).
//   - In a model of bf16 they are f32. (PyTorch rounds them to bf16, where averages get stuck.)
//   - They are saved, as running_mean, running_var and num_batches_tracked (i64).
#pragma once

#include <optional>

#include <heed/nn/module.h>

namespace heed::nn {

struct BatchNormSettings {
  double eps = 1e-5;
  std::optional<double> momentum = 0.1;  // empty: the average of all batches
  bool affine = true;                    // weight and bias
  bool track_running_stats = true;       // false: evaluation too uses the batch's own statistics
};

// x [B, C, ...spatial], any number of spatial axes.
class BatchNorm : public Module {
 public:
  explicit BatchNorm(int64_t channels, const BatchNormSettings& settings = {})
      : BatchNorm(channels, settings, "BatchNorm", 2, 0) {}
  // ValueError in training unless each channel has 2 values or more.
  Tensor forward(const Tensor& x) const;
  Tensor forward_relu(const Tensor& x) const;
  Tensor forward_add_relu(const Tensor& x, const Tensor& residual) const;
  std::string type_name() const override;

  Tensor weight, bias;               // [C], ones and zeros
  Tensor running_mean, running_var;  // [C], zeros and ones
  Tensor num_batches_tracked;        // i64 []

 protected:
  BatchNorm(int64_t channels, const BatchNormSettings& settings, const char* name, int min_rank,
            int max_rank);

 private:
  Tensor run(const Tensor& x, bool relu, const Tensor& residual) const;
  int64_t channels_;
  BatchNormSettings settings_;
  const char* name_;
  int min_rank_, max_rank_;
};

class BatchNorm1d : public BatchNorm {  // [B, C] or [B, C, L]
 public:
  explicit BatchNorm1d(int64_t channels, const BatchNormSettings& settings = {})
      : BatchNorm(channels, settings, "BatchNorm1d", 2, 3) {}
};
class BatchNorm2d : public BatchNorm {  // [B, C, H, W]
 public:
  explicit BatchNorm2d(int64_t channels, const BatchNormSettings& settings = {})
      : BatchNorm(channels, settings, "BatchNorm2d", 4, 4) {}
};
class BatchNorm3d : public BatchNorm {  // [B, C, D, H, W]
 public:
  explicit BatchNorm3d(int64_t channels, const BatchNormSettings& settings = {})
      : BatchNorm(channels, settings, "BatchNorm3d", 5, 5) {}
};

}  // namespace heed::nn
