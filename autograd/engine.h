// The engine's inner functions; for autograd/ alone.
#pragma once

#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/tape.h>

namespace heed {

// targets null: into the leaves' grad. `nested`: from inside a vjp; stops at the targets, so that
// the marks of the graph around it stay untouched, and calls no hooks.
std::vector<Tensor> run_backward(const std::vector<Tensor>& outputs,
                                 const std::vector<Tensor>& cotangents,
                                 const std::vector<Node*>* targets, BackwardOptions options,
                                 bool nested);
void accumulate(Node& node, const Tensor& gradient, bool create_graph);
bool is_owned(const Tensor& slot);  // nobody else sees its memory
void add_in_place(const Array& target, const Array& source);
void check_gradient(const Node& node, int input, const Tensor& gradient);

}  // namespace heed
