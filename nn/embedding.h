// A learned vector for each of V ids.
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

// weight [V, D], normal(0, 1) as in PyTorch. The row of `padding_index` starts as zeros and gets no
// gradient; -1: there is none.
class Embedding : public Module {
 public:
  Embedding(int64_t count, int64_t width, int64_t padding_index = -1);
  Tensor forward(const Tensor& ids) const;  // i64 of any shape [..] -> [.., D]
  std::string type_name() const override;

  Tensor weight;  // [V, D]

 private:
  int64_t padding_index_;
};

}  // namespace heed::nn
