#include <heed/autograd/vjp.h>

#include <atomic>

#include <heed/autograd/apply.h>
#include <heed/backends/elementwise.h>

namespace heed {

namespace {

std::atomic<CotangentHook> cotangent_hook{nullptr};

// Not the public `add`, which depends on this file.
struct GradientSum {
  static constexpr const char* name = "gradient_sum";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) {
    Array out = in[0].new_empty(in[0].shape());
    kernels::binary(BinaryOp::add, in[0], in[1], out);
    return out;
  }
  void vjp(Vjp& v) {
    v.add(0, v.cotangent());
    v.add(1, v.cotangent());
  }
};

void require_unchanged(bool unchanged, const Shape& shape, const char* op) {
  if (!unchanged)
    throw GradError(str("backward: a tensor ", shape, " that '", op,
                        "' saved was changed in place between forward and backward"));
}

// Whether nothing else refers to the gradient's memory.
bool is_owned(const Tensor& gradient) {
  return gradient.impl()->use_count() == 1 && gradient.array().storage().use_count() == 1 &&
         gradient.array().is_contiguous();
}

}  // namespace

Tensor gradient_sum(const Tensor& a, const Tensor& b) { return apply(GradientSum{}, a, b); }

void add_in_place(const Array& target, const Array& source) {
  kernels::binary(BinaryOp::add, target, source, target);
}

void accumulate(Node& node, int k, const Tensor& gradient, bool create_graph) {
  Node::Output& output = node.outputs[static_cast<size_t>(k)];
  Tensor& sum = output.cotangent;
  if (!(gradient.shape() == output.shape))
    throw ShapeError(str("backward: gradient ", gradient.shape(), " for an output ", output.shape,
                         " of ", node.name()));
  if (!sum.defined()) sum = gradient;
  else if (create_graph || sum.requires_grad() || gradient.requires_grad() || !is_owned(sum))
    sum = gradient_sum(sum, gradient);
  else add_in_place(sum.array(), gradient.array());
}

void set_cotangent_hook(CotangentHook hook) { cotangent_hook = hook; }

void Vjp::add(int i, const Tensor& gradient) {
  if (!needs(i)) return;
  const Tensor* g = &gradient;
  Tensor changed;
  if (CotangentHook hook = cotangent_hook.load(std::memory_order_relaxed)) {
    changed = hook(node_.name(), i, gradient);
    g = &changed;
  }
  if (detail::anomaly) detail::check_gradient(node_, i, *g);
  accumulate(*edge(i).node, edge(i).output, *g, create_graph_);
}

Vjp::Destination Vjp::destination(int i) {
  const Node::Output& target = edge(i).source();
  bool hooked = cotangent_hook.load(std::memory_order_relaxed) || detail::anomaly;
  const Tensor& sum = target.cotangent;
  if (sum.defined() && !hooked && is_owned(sum) && !sum.requires_grad()) return {sum.array(), true};
  return {like().array().new_empty(target.shape, target.dtype), false};
}

const Tensor& Vjp::like() const {
  for (const Node::Output& output : node_.outputs)
    if (output.cotangent.defined()) return output.cotangent;
  throw GradError(str("backward: no gradient has arrived at '", node_.name(), "'"));
}

Tensor Vjp::cotangent_or_zeros(int k) const {
  const Node::Output& output = node_.outputs[static_cast<size_t>(k)];
  if (output.cotangent.defined()) return output.cotangent;
  return like().new_zeros(output.shape, output.dtype);
}

Tensor Vjp::input(int i) const {
  if (!saved(i)) throw GradError(str("backward: '", node_.name(), "' did not save input ", i));
  const Tensor& x = edge(i).saved;
  require_unchanged(x.version() == edge(i).version, x.shape(), node_.name());
  return x;
}

Tensor Vjp::output(int k) const {
  const Node::Output& output = node_.outputs[static_cast<size_t>(k)];
  if (!output.saved.defined())
    throw GradError(str("backward: '", node_.name(), "' did not save output ", k));
  require_unchanged(output.saved.storage().version() == output.version, output.shape, node_.name());
  if (!create_graph_) return Tensor(output.saved);
  return detail::output_of(Ref<Node>(&node_), k, Array(output.saved));
}

}  // namespace heed
