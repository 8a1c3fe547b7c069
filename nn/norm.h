// Normalization without running statistics: over the last axis (autograd/ops/norm.h), and over
// groups of channels (autograd/ops/group_norm.h). Batch norm: nn/batch_norm.h.
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

class LayerNorm : public Module {
 public:
  explicit LayerNorm(int64_t width, double eps = 1e-5, bool bias = true);
  Tensor forward(const Tensor& x) const;
  // forward(x + residual) in one pass over memory: post-norm's residual step.
  Tensor forward_add(const Tensor& x, const Tensor& residual) const;
  std::string type_name() const override;

  Tensor weight;  // [D], ones
  Tensor bias;    // [D], zeros, or undefined

 private:
  double eps_;
};

class RMSNorm : public Module {
 public:
  explicit RMSNorm(int64_t width, double eps = 1e-6);
  Tensor forward(const Tensor& x) const;
  std::string type_name() const override;

  Tensor weight;  // [D], ones

 private:
  double eps_;
};

class GroupNorm : public Module {
 public:
  // ValueError unless `groups` divides `channels`.
  GroupNorm(int64_t groups, int64_t channels, double eps = 1e-5, bool affine = true);
  Tensor forward(const Tensor& x) const;  // x [B, C, ...spatial]
  std::string type_name() const override;

  Tensor weight, bias;  // [C], ones and zeros; undefined unless affine

 private:
  int64_t groups_, channels_;
  double eps_;
};

}  // namespace heed::nn
