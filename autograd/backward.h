// Reverse-mode differentiation over the recorded graph.
#pragma once

#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

struct BackwardOptions {
  bool retain_graph = false;  // keep saved tensors for another backward
  bool create_graph = false;  // record the gradients (second order); implies retain_graph
  bool allow_unused = false;  // grad: an undefined result instead of an error for unused inputs
};

// Adds d sum_i <cotangents[i], outputs[i]> / d leaf to the grad of every leaf.
// GradError: no graph, a second backward through a freed graph, a saved tensor changed in place.
void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
              BackwardOptions options = {});

// The same, returned for `inputs` alone; leaves' grad stays as it is.
std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& cotangents = {}, BackwardOptions options = {});

}  // namespace heed
