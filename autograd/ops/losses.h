// Losses. Class targets are i64; one out of range is a ValueError on the CPU, elsewhere it is
// ignored and sets the device's flag (range_flag.h). Losses of bf16 are f32.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

enum class Reduction { mean, sum, none };

struct CrossEntropyOptions {
  double label_smoothing = 0;   // e: (1 - e) on the target + e / V on every class, as PyTorch
  int64_t ignore_index = -100;  // targets that count neither in the loss nor in the mean
  Reduction reduction = Reduction::mean;  // over the targets that count; 0 if none does
};

// -log softmax(logits)[target]: logits [.., V], target [..] -> [] (none: [..]).
Tensor cross_entropy(const Tensor& logits, const Tensor& target,
                     const CrossEntropyOptions& options = {});
Tensor cross_entropy_reference(const Tensor& logits, const Tensor& target,
                               const CrossEntropyOptions& options = {});

// cross_entropy(x W^T + b, target) without ever holding all logits: rows are processed in chunks
// (logits, loss, their gradient and both products while in cache), and gradients are computed in
// forward if grad mode is on. x [N, D] or [.., D], weight [V, D], bias [V] or undefined. Reduction
// mean or sum.
Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& target, const CrossEntropyOptions& options = {});
Tensor linear_cross_entropy_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                      const Tensor& target,
                                      const CrossEntropyOptions& options = {});

Tensor mse_loss(const Tensor& prediction, const Tensor& target,
                Reduction reduction = Reduction::mean);
// max(x, 0) - x t + log(1 + exp(-|x|)): logits x, targets t in [0, 1].
Tensor binary_cross_entropy_with_logits(const Tensor& logits, const Tensor& target,
                                        Reduction reduction = Reduction::mean);
// -t log p - (1 - t) log(1 - p), logarithms not below -100 as in PyTorch.
Tensor binary_cross_entropy(const Tensor& probability, const Tensor& target,
                            Reduction reduction = Reduction::mean);

}  // namespace heed
