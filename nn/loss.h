// Losses with their settings bound; formulas in autograd/ops/losses.h. They hold no parameters.
//
//   nn::CrossEntropyLoss loss{{.label_smoothing = 0.1, .ignore_index = 0}};
//   loss(logits, target).backward();
#pragma once

#include <heed/autograd/ops/losses.h>

namespace heed::nn {

struct CrossEntropyLoss {
  CrossEntropyOptions options;
  Tensor operator()(const Tensor& logits, const Tensor& target) const;  // [.., V], i64 [..]
  // On hidden states and the output matrix, without ever holding all logits.
  Tensor operator()(const Tensor& x, const Tensor& weight, const Tensor& bias,
                    const Tensor& target) const;
};

struct MSELoss {
  Reduction reduction = Reduction::mean;
  Tensor operator()(const Tensor& prediction, const Tensor& target) const;
};

struct BCEWithLogitsLoss {
  Reduction reduction = Reduction::mean;
  Tensor operator()(const Tensor& logits, const Tensor& target) const;
};

}  // namespace heed::nn
