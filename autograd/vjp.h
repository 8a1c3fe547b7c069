// What an op's vjp sees: the cotangents of its outputs, what forward saved, and where the gradients
// of its inputs go.
#pragma once

#include <heed/autograd/node.h>

namespace heed {

class Vjp {
 public:
  Vjp(Node& node, bool create_graph) : node_(node), create_graph_(create_graph) {}
  // Of output k. Undefined if no gradient arrived there; at least one is defined, so an op with one
  // output need not ask.
  const Tensor& cotangent(int k = 0) const { return result(k).cotangent; }
  Tensor cotangent_or_zeros(int k) const;
  Tensor input(int i) const;  // GradError if it was not saved, or was changed in place since
  bool saved(int i) const { return edge(i).saved.defined(); }
  Tensor output(int k = 0) const;  // likewise
  bool saved_output(int k) const { return node_.outputs[static_cast<size_t>(k)].saved.defined(); }
  int count() const { return static_cast<int>(node_.inputs.size()); }
  int outputs() const { return static_cast<int>(node_.outputs.size()); }
  const Shape& shape(int i) const { return edge(i).shape; }
  DType dtype(int i) const { return edge(i).dtype; }
  bool needs(int i) const { return edge(i).needed(); }
  bool create_graph() const { return create_graph_; }
  void add(int i, const Tensor& gradient);  // ignored unless needs(i)

  // Where the gradient of input i goes, for kernels that can add at no cost: they write to `array`,
  // adding to it if `accumulate`; otherwise `add` follows.
  struct Destination {
    Array array;
    bool accumulate;
  };
  Destination destination(int i);  // only if needs(i) and not create_graph()

 private:
  const Tensor& like() const;  // a cotangent that is defined; new tensors go to its device
  const Node::Output& result(int k) const { return node_.outputs[static_cast<size_t>(k)]; }
  const Node::Edge& edge(int i) const { return node_.inputs[static_cast<size_t>(i)]; }
  Node& node_;
  bool create_graph_;
};

// Adds to the gradient that has arrived at an output; ShapeError if it does not fit. The first
// gradient is kept as it is, since it may be shared; from the second on, the engine owns the sum
// and adds to it in place.
void accumulate(Node& node, int output, const Tensor& gradient, bool create_graph);
// a + b of one shape, recorded where grad mode is on.
Tensor gradient_sum(const Tensor& a, const Tensor& b);
void add_in_place(const Array& target, const Array& source);

// Tests set it to falsify one gradient at run time: (op, input, gradient) -> gradient.
using CotangentHook = Tensor (*)(const char* op, int input, const Tensor& gradient);
void set_cotangent_hook(CotangentHook hook);

}  // namespace heed
