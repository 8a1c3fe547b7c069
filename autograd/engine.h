// Runs backward through the recorded graph. For autograd/ alone; backward.h is for users.
#pragma once

#include <cstdint>
#include <vector>

#include <heed/autograd/vjp.h>

namespace heed {

struct EngineOptions {
  bool retain_graph = false;  // keep what forward saved
  bool create_graph = false;  // record the gradients; implies retain_graph
  // For a run inside a vjp: stops at the targets and at nodes older than `first`, so that the graph
  // around it stays as it is, and calls no hooks.
  bool nested = false;
  uint64_t first = 0;  // Node::sequence of the first node that was made for the nested run
};

// An output whose gradient is asked for.
struct GradientTarget {
  Node* node;
  int output;
};

// The gradients of sum_i <cotangents[i], outputs[i]> by each target, undefined if not reached.
// `targets` null: adds them to the leaves' grad. Outputs without a cotangent count as 0.
std::vector<Tensor> run_backward(const std::vector<Tensor>& outputs,
                                 const std::vector<Tensor>& cotangents,
                                 const std::vector<GradientTarget>* targets, EngineOptions options);

// x behind a node of its own, at which a nested run can end.
Tensor alias(const Tensor& x);

}  // namespace heed
