// How an op gets onto the tape. An op is a struct:
//
//   struct Exp {
//     static constexpr const char* name = "exp";
//     static constexpr unsigned saves = kOutput;             // what vjp will ask for
//     Array forward(Inputs in);                              // shape rule and kernel
//     void vjp(Vjp& v) { v.add(0, v.cotangent() * v.output()); }  // exp(x)' = exp(x)
//   };
//   Tensor exp(const Tensor& x) { return apply(Exp{}, x); }
//
// vjp written with Tensor functions gives derivatives of any order. A fused op, whose vjp calls a
// kernel, starts with `if (v.create_graph()) return v.by_reference(...)`.
#pragma once

#include <utility>
#include <vector>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/tensor.h>

namespace heed {

// Bits of `saves`: 1 << i for input i.
inline constexpr unsigned kOutput = 1u << 31;
inline constexpr unsigned kAllInputs = kOutput - 1;

class Inputs {
 public:
  Inputs(const Tensor* const* tensors, int count) : tensors_(tensors), count_(count) {}
  int count() const { return count_; }
  const Array& operator[](int i) const { return tensors_[i]->array(); }
  const Tensor& tensor(int i) const { return *tensors_[i]; }

 private:
  const Tensor* const* tensors_;
  int count_;
};

class Vjp;

struct Hook {
  Tensor (*function)(const Tensor&, void*);
  void* context;
};

// One recorded op, or a leaf. All ops have one output.
class Node : public RefCounted {
 public:
  struct Edge {
    Ref<Node> node;  // empty: the input is a constant
    Shape shape;     // of the input
    DType dtype = DType::f32;
    Tensor saved;
    uint32_t version = 0;
  };
  Node();
  virtual ~Node();
  virtual const char* name() const = 0;
  virtual void vjp(Vjp& v) = 0;
  virtual bool is_leaf() const { return false; }

  uint64_t sequence;  // grows with creation: inputs come before users
  std::vector<Edge> inputs;
  Shape shape;  // of the output
  DType dtype = DType::f32;
  Array saved_output;
  uint32_t output_version = 0;
  bool freed = false;
  std::vector<Hook> hooks;
  std::string where;  // anomaly mode: module path and user's line at forward
  // The engine's, during one backward.
  Tensor slot;
  uint64_t mark = 0;
  bool needed = false;
};
void destroy(Node* node);  // without recursion, however long the graph

// The end of the graph: a parameter or input that asked for gradients.
class Leaf final : public Node {
 public:
  const char* name() const override { return "leaf"; }
  void vjp(Vjp&) override {}
  bool is_leaf() const override { return true; }
  Tensor grad;
};

// What an op's vjp sees.
class Vjp {
 public:
  Vjp(Node& node, bool create_graph) : node_(node), create_graph_(create_graph) {}
  const Tensor& cotangent() const { return node_.slot; }
  Tensor input(int i) const;  // GradError if it was changed in place since
  Tensor output() const;
  int count() const { return static_cast<int>(node_.inputs.size()); }
  const Shape& shape(int i) const { return node_.inputs[i].shape; }
  DType dtype(int i) const { return node_.inputs[i].dtype; }
  bool needs(int i) const { return node_.inputs[i].node && node_.inputs[i].node->needed; }
  bool create_graph() const { return create_graph_; }
  void add(int i, const Tensor& gradient);  // ignored unless needs(i)

  // For kernels that can add for free: writes to `array`, on top of it where `accumulate`.
  struct Slot {
    Array array;
    bool accumulate;
  };
  Slot slot(int i);  // only if needs(i) and not create_graph()

  // The gradients by re-running `f`, composed of primitives, on the saved inputs (all inputs that
  // need gradients must be saved). `f` gets one tensor an input; constants that were not saved
  // come undefined.
  template <class F>
  void by_reference(F&& f) {
    std::vector<Tensor> in = alias_inputs();
    GradMode on(true);
    differentiate(f(in), in);
  }

 private:
  std::vector<Tensor> alias_inputs() const;
  void differentiate(const Tensor& output, const std::vector<Tensor>& in);
  Node& node_;
  bool create_graph_;
};

// Tests set it to falsify one cotangent at run time: (op, input, gradient) -> gradient.
using CotangentHook = Tensor (*)(const char* op, int input, const Tensor& gradient);
void set_cotangent_hook(CotangentHook hook);

namespace detail {
bool wants_node(const Tensor* const* inputs, int count);
Tensor record(Ref<Node> node, const Tensor* const* inputs, int count, unsigned saves, Array output);
void check_anomaly(const char* op, const Tensor* const* inputs, int count, const Array& output);
extern thread_local constinit bool anomaly;

template <class Op>
struct OpNode final : Node {
  explicit OpNode(Op&& o) : op(std::move(o)) {}
  const char* name() const override { return Op::name; }
  void vjp(Vjp& v) override { op.vjp(v); }
  Op op;
};
}  // namespace detail

template <class Op>
Tensor apply_list(Op op, const Tensor* const* inputs, int count) {
  OpName scope(Op::name);
  Array output = op.forward(Inputs(inputs, count));
  if (detail::anomaly) detail::check_anomaly(Op::name, inputs, count, output);
  if (!detail::wants_node(inputs, count) || !is_differentiable(output.dtype()))
    return Tensor(std::move(output));
  Ref<Node> node(new detail::OpNode<Op>(std::move(op)));
  return detail::record(std::move(node), inputs, count, Op::saves, std::move(output));
}

template <class Op, class... T>
Tensor apply(Op op, const T&... inputs) {
  const Tensor* list[] = {&inputs...};
  return apply_list(std::move(op), list, sizeof...(inputs));
}

template <class Op>
Tensor apply(Op op, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> list;
  for (const Tensor& t : inputs) list.push_back(&t);
  return apply_list(std::move(op), list.data(), static_cast<int>(list.size()));
}

}  // namespace heed
