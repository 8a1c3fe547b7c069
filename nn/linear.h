// y = x W^T + b.
//
//   nn::Linear l(128, 512);
//   Tensor y = l.forward(x);  // [.., 128] -> [.., 512]
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

// weight [out, in], bias [out]; both uniform in +-1 / sqrt(in), as in PyTorch.
class Linear : public Module {
 public:
  Linear(int64_t in, int64_t out, bool bias = true);  // ValueError unless both are positive
  Tensor forward(const Tensor& x) const;              // [.., in] -> [.., out]
  std::string type_name() const override;
  int64_t in() const { return weight.dim(1); }
  int64_t out() const { return weight.dim(0); }

  Tensor weight;  // [out, in]
  Tensor bias;    // [out] or undefined
};

}  // namespace heed::nn
