// Trades time for memory: the intermediate results of `f` are dropped after forward and computed
// again in backward, with the same random numbers. Also known as activation (or gradient)
// checkpointing (Chen et al. 2016, "Training deep nets with sublinear memory cost").
//
//   Tensor y = recompute([&](const std::vector<Tensor>& in) { return layer(in[0]); }, {x});
//
// Backward runs `f` once more, however many tensors it returns and whichever of them are used.
#pragma once

#include <functional>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

using RecomputeFunction = std::function<Tensor(const std::vector<Tensor>&)>;
using RecomputeListFunction = std::function<std::vector<Tensor>(const std::vector<Tensor>&)>;
// Parameters that `f` uses without taking them as inputs get their gradients too; one that changes
// between forward and backward is a GradError. Other tensors that `f` uses must not change, which
// nothing checks.
Tensor recompute(RecomputeFunction f, const std::vector<Tensor>& inputs);
std::vector<Tensor> recompute(RecomputeListFunction f, const std::vector<Tensor>& inputs);

// Whether this thread is in such a second run. A layer that changes something in forward (running
// statistics) asks, and does not change it again.
bool recomputing();

}  // namespace heed
