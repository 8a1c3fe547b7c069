// Transformer's position-wise network: linear2(dropout(activation(linear1(x)))).
#pragma once

#include <heed/nn/activation.h>
#include <heed/nn/linear.h>

namespace heed::nn {

// Parameters are named linear1.* and linear2.*, as in PyTorch's Transformer layers.
class FeedForward : public Module {
 public:
  FeedForward(int64_t width, int64_t hidden, const std::string& activation = "relu",
              double dropout = 0, bool bias = true);
  Tensor forward(const Tensor& x) const;  // [.., width] -> [.., width]
  std::string type_name() const override;

  Linear linear1, linear2;

 private:
  double dropout_;
  std::string activation_name_;
  Activation activation_;
};

}  // namespace heed::nn
