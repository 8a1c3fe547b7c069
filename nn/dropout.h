// Dropout as a layer: active in training mode only; random numbers from default_generator().
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

class Dropout : public Module {
 public:
  explicit Dropout(double p);  // ValueError unless 0 <= p <= 1
  Tensor forward(const Tensor& x) const;
  // residual + forward(x), in one pass over memory.
  Tensor forward_add(const Tensor& x, const Tensor& residual) const;
  bool is_active() const { return is_training() && p_ > 0; }
  double p() const { return p_; }
  std::string type_name() const override;

 private:
  double p_;
};

}  // namespace heed::nn
