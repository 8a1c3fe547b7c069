#include <heed/autograd/apply.h>

#include <heed/autograd/source_location.h>
#include <heed/core/error.h>

namespace heed {

bool Inputs::recorded() const { return detail::wants_node(tensors_, count_); }

namespace detail {

bool wants_node(const Tensor* const* inputs, int count) {
  if (!grad_enabled()) return false;
  for (int i = 0; i < count; ++i)
    if (inputs[i]->requires_grad()) return true;
  return false;
}

void refuse_gradient(const char* op) {
  throw GradError(str(op, ": has no gradient; detach the operand, or call it under NoGrad"));
}

void record(Node& node, const Tensor* const* inputs, int count, unsigned saves,
            std::span<const Array> outputs) {
  const bool all = (saves & kAllInputs) == kAllInputs;
  node.inputs.resize(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const Tensor& input = *inputs[i];
    if (!input.defined()) continue;
    Node::Edge& edge = node.inputs[static_cast<size_t>(i)];
    edge.node = input.node();
    edge.output = input.output();
    edge.shape = input.shape();
    edge.dtype = input.dtype();
    if (all || (i < 24 && (saves >> i & 1))) {
      edge.saved = input;
      edge.version = input.version();
    }
  }
  for (size_t k = 0; k < outputs.size(); ++k) {
    Node::Output& output = node.outputs[k];
    output.shape = outputs[k].shape();
    output.dtype = outputs[k].dtype();
    if ((saves & output_bit(static_cast<int>(k))) && outputs[k].defined()) {
      output.saved = outputs[k];
      output.version = outputs[k].storage().version();
    }
  }
  if (anomaly) node.where = str(ModuleScope::path(), capture_location());
}

Tensor output_of(const Ref<Node>& node, int k, Array&& value) {
  if (!value.defined()) return Tensor();
  if (!node || !is_differentiable(value.dtype())) return Tensor(std::move(value));
  return Tensor(std::move(value), node, k);
}

}  // namespace detail

}  // namespace heed
