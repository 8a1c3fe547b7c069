// The recorded graph. Each op that ran is a node, each of its results is an output of the node, and
// each of its inputs is an edge to the output that produced it. The ends of the graph are leaves.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

class Vjp;

struct Hook {
  Tensor (*function)(const Tensor&, void*);
  void* context;
};

class Node : public RefCounted {
 public:
  struct Output {
    Shape shape;
    DType dtype = DType::f32;
    Array saved;           // for backward, if the op asks for it
    uint32_t version = 0;  // of `saved` in forward
    std::vector<Hook> hooks;
    // Used by the engine during one backward.
    Tensor cotangent;     // the sum of the gradients that have arrived
    bool wanted = false;  // its gradient is asked for
  };
  struct Edge {
    Ref<Node> node;  // empty: the input is a constant
    int output = 0;  // of `node`
    Shape shape;     // of the input
    DType dtype = DType::f32;
    Tensor saved;
    uint64_t version = 0;  // of `saved` in forward
    // In the running backward: its gradient is asked for, or leads to one that is.
    bool needed() const { return node && (node->leads || source().wanted); }
    Output& source() const { return node->outputs[static_cast<size_t>(output)]; }
  };
  Node();
  virtual ~Node();
  virtual const char* name() const = 0;
  virtual void vjp(Vjp& v) = 0;
  virtual bool is_leaf() const { return false; }

  uint64_t sequence;          // increases: a node's inputs have lower ones
  std::span<Output> outputs;  // in the derived class, so that one output needs no allocation
  std::vector<Edge> inputs;
  bool freed = false;
  std::string where;  // anomaly mode: module path and user's line at forward
  // Used by the engine during one backward.
  uint64_t mark = 0;
  bool leads = false;  // an input is needed, so vjp has to run
};
void destroy(Node* node);  // without recursion, however long the graph

// The end of the graph: a parameter or input that asked for gradients.
class Leaf final : public Node {
 public:
  Leaf(const Shape& shape, DType dtype);
  const char* name() const override { return "leaf"; }
  void vjp(Vjp&) override {}
  bool is_leaf() const override { return true; }
  Tensor grad;
  bool replaced = false;  // the tensor has had another leaf since, by set_value

 private:
  Output output_;
};

}  // namespace heed
