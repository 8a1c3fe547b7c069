// The members of Tensor that use the graph.
#include <heed/autograd/backward.h>
#include <heed/autograd/node.h>

namespace heed {

TensorImpl::TensorImpl(Array&& v, Ref<Node>&& n, int32_t k)
    : output(k), value(std::move(v)), node(std::move(n)) {}
TensorImpl::~TensorImpl() = default;

Tensor::Tensor(Array value) : Tensor(std::move(value), Ref<Node>()) {}
Tensor::Tensor(Array value, Ref<Node> node, int output)
    : impl_(new TensorImpl(std::move(value), std::move(node), output)) {}

bool Tensor::is_leaf() const { return !requires_grad() || node()->is_leaf(); }

Tensor& Tensor::set_requires_grad(bool on) {
  if (!is_leaf())
    throw GradError(str("set_requires_grad: the tensor is the result of '", node()->name(),
                        "'; detach it first"));
  if (on && !is_differentiable(dtype())) refuse_dtype("set_requires_grad", dtype());
  if (on == requires_grad()) return *this;
  impl_->node = on ? Ref<Node>(new Leaf(shape(), dtype())) : Ref<Node>();
  return *this;
}

Tensor Tensor::grad() const {
  if (!requires_grad() || !node()->is_leaf()) return Tensor();
  return static_cast<Leaf&>(*node()).grad;
}

void Tensor::set_grad(const Tensor& gradient) const {
  if (!requires_grad() || !node()->is_leaf()) {
    if (!gradient.defined()) return;
    throw GradError("set_grad: not a leaf that requires a gradient");
  }
  if (gradient.defined() && !(gradient.shape() == shape()))
    throw ShapeError(str("set_grad: gradient ", gradient.shape(), " for a tensor ", shape()));
  if (gradient.defined() && gradient.dtype() != dtype())
    throw DTypeError(str("set_grad: gradient ", gradient.dtype(), " for a tensor of ", dtype()));
  if (gradient.defined() && gradient.device() != device())
    throw DeviceError(str("set_grad: a gradient on ", to_string(gradient.device()),
                          " for a tensor on ", to_string(device())));
  static_cast<Leaf&>(*node()).grad = gradient;
}

void Tensor::backward(const Tensor& cotangent, bool retain_graph, bool create_graph) const {
  BackwardOptions options;
  options.retain_graph = retain_graph;
  options.create_graph = create_graph;
  heed::backward({*this}, {cotangent}, options);
}

void Tensor::register_hook(Tensor (*hook)(const Tensor&, void*), void* context) const {
  if (!requires_grad()) throw GradError("register_hook: the tensor does not require a gradient");
  node()->outputs[static_cast<size_t>(output())].hooks.push_back({hook, context});
}

void Tensor::set_value(Array value) const {
  if (!(value.shape() == shape()))
    throw ShapeError(str("set_value: ", value.shape(), " for a tensor ", shape()));
  if (!is_leaf()) throw GradError("set_value: not a leaf");
  if (requires_grad()) {
    auto& before = static_cast<Leaf&>(*node());
    Ref<Node> leaf(new Leaf(value.shape(), value.dtype()));
    leaf->outputs[0].hooks = before.outputs[0].hooks;
    before.replaced = true;
    impl_->node = std::move(leaf);
  }
  impl_->value = std::move(value);
  ++impl_->replacements;
}

}  // namespace heed
