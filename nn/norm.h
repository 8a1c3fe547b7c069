// Normalization over the last axis; formulas in autograd/ops/norm.h.
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

}  // namespace heed::nn
