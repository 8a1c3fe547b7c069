// Activation checkpointing (Chen et al. 2016) trades time for memory: the intermediate results of
// `f` are dropped after forward and computed again in backward, with the same random numbers. It
// has nothing to do with the checkpoints of a training run on disk.
//
//   Tensor y = checkpoint([&](const std::vector<Tensor>& in) { return layer(in[0]); }, {x});
//
// Backward runs `f` once more, however many tensors it returns and whichever of them are used.
#pragma once

#include <functional>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

using CheckpointFunction = std::function<Tensor(const std::vector<Tensor>&)>;
using CheckpointListFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
// Parameters that `f` uses without taking them as inputs get their gradients too.
Tensor checkpoint(CheckpointFunction f, const std::vector<Tensor>& inputs);
std::vector<Tensor> checkpoint(CheckpointListFunction f, const std::vector<Tensor>& inputs);

}  // namespace heed
