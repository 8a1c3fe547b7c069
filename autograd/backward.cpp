#include <heed/autograd/backward.h>

#include <algorithm>
#include <atomic>

#include <heed/autograd/engine.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/tape.h>

namespace heed {

namespace {
std::atomic<uint64_t> next_mark{1};
std::atomic<CotangentHook> cotangent_hook{nullptr};

// All nodes that the outputs depend on, users before their inputs.
std::vector<Node*> collect(const std::vector<Tensor>& outputs, const std::vector<Node*>& boundary) {
  uint64_t mark = next_mark.fetch_add(1);
  std::vector<Node*> found;
  auto visit = [&](Node* node) {
    if (!node || node->mark == mark) return;
    node->mark = mark;
    node->needed = false;
    found.push_back(node);
  };
  for (const Tensor& output : outputs)
    if (output.requires_grad()) visit(output.node().get());
  for (size_t i = 0; i < found.size(); ++i)
    if (std::find(boundary.begin(), boundary.end(), found[i]) == boundary.end())
      for (const Node::Edge& edge : found[i]->inputs) visit(edge.node.get());
  std::sort(found.begin(), found.end(), [](Node* a, Node* b) { return a->sequence > b->sequence; });
  return found;
}

void run_hooks(Node& node) {
  for (size_t i = 0; i < node.hooks.size(); ++i) {
    Tensor changed = node.hooks[i].function(node.slot, node.hooks[i].context);
    if (changed.defined()) node.slot = changed;
  }
}

void free_saved(Node& node) {
  for (Node::Edge& edge : node.inputs) edge.saved = Tensor();
  node.saved_output = Array();
  node.freed = true;
}

bool is_target(const std::vector<Node*>& targets, Node* node) {
  return std::find(targets.begin(), targets.end(), node) != targets.end();
}
}  // namespace

std::vector<Tensor> run_backward(const std::vector<Tensor>& outputs,
                                 const std::vector<Tensor>& cotangents,
                                 const std::vector<Node*>* targets, BackwardOptions options,
                                 bool nested) {
  static const std::vector<Node*> none;
  bool retain = options.retain_graph || options.create_graph;
  std::vector<Node*> nodes = collect(outputs, nested ? *targets : none);
  for (auto it = nodes.rbegin(); it != nodes.rend(); ++it) {
    Node& node = **it;
    node.needed = targets ? is_target(*targets, &node) : node.is_leaf();
    for (const Node::Edge& edge : node.inputs) node.needed |= edge.node && edge.node->needed;
  }
  // The nodes stay alive while the engine works on them, and no slot outlives it.
  std::vector<Ref<Node>> alive;
  alive.reserve(nodes.size());
  for (Node* node : nodes) alive.emplace_back(node);
  struct ClearSlots {
    std::vector<Ref<Node>>& nodes;
    bool armed = true;
    ~ClearSlots() {
      if (armed)
        for (auto& node : nodes) node->slot = Tensor();
    }
  } clear{alive};

  GradMode mode(options.create_graph);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].requires_grad())
      accumulate(*outputs[i].node(), cotangents[i], options.create_graph);

  std::vector<Tensor> results(targets ? targets->size() : 0);
  for (Node* node : nodes) {
    if (!node->slot.defined() || !node->needed) continue;
    if (!nested && !node->hooks.empty()) run_hooks(*node);
    bool expand = !node->is_leaf();
    if (targets) {
      for (size_t t = 0; t < targets->size(); ++t)
        if ((*targets)[t] == node) {
          results[t] = node->slot;
          if (nested) expand = false;
        }
    } else if (node->is_leaf()) {
      Leaf& leaf = static_cast<Leaf&>(*node);
      if (!leaf.grad.defined()) leaf.grad = node->slot;
      else leaf.grad = leaf.grad + node->slot;
    }
    if (expand) {
      if (node->freed)
        throw GradError(str("backward: the graph at op '", node->name(),
                            "' was freed by an earlier "
                            "backward; pass retain_graph to go through it twice"));
      Vjp v(*node, options.create_graph);
      OpName scope(node->name());
      node->vjp(v);
      if (!retain) free_saved(*node);
    }
    node->slot = Tensor();
  }
  clear.armed = false;
  return results;
}

static std::vector<Tensor> checked_cotangents(const std::vector<Tensor>& outputs,
                                              std::vector<Tensor> cotangents, const char* op) {
  cotangents.resize(outputs.size());
  bool any = false;
  for (size_t i = 0; i < outputs.size(); ++i) {
    const Tensor& y = outputs[i];
    if (!y.defined()) throw GradError(str(op, ": output ", i, " is undefined"));
    any |= y.requires_grad();
    if (!cotangents[i].defined()) {
      if (y.numel() != 1)
        throw GradError(str(op, ": an output of shape ", y.shape(),
                            " needs a cotangent; only one element implies 1"));
      cotangents[i] = y.new_ones(y.shape());
    } else if (!(cotangents[i].shape() == y.shape()) || cotangents[i].dtype() != y.dtype()) {
      throw ShapeError(str(op, ": cotangent ", cotangents[i].shape(), " ", cotangents[i].dtype(),
                           " for an output ", y.shape(), " ", y.dtype()));
    }
  }
  if (!any) throw GradError(str(op, ": no output requires a gradient"));
  return cotangents;
}

void backward(const std::vector<Tensor>& outputs, const std::vector<Tensor>& cotangents,
              BackwardOptions options) {
  run_backward(outputs, checked_cotangents(outputs, cotangents, "backward"), nullptr, options,
               false);
}

std::vector<Tensor> grad(const std::vector<Tensor>& outputs, const std::vector<Tensor>& inputs,
                         const std::vector<Tensor>& cotangents, BackwardOptions options) {
  std::vector<Node*> targets;
  for (const Tensor& x : inputs) {
    if (!x.requires_grad()) throw GradError("grad: an input does not require a gradient");
    targets.push_back(x.node().get());
  }
  auto results = run_backward(outputs, checked_cotangents(outputs, cotangents, "grad"), &targets,
                              options, false);
  for (size_t i = 0; i < results.size(); ++i)
    if (!results[i].defined() && !options.allow_unused)
      throw GradError(
          str("grad: input ", i, " is not part of the graph; allow_unused accepts that"));
  return results;
}

// The first gradient is kept as it came, since it may be shared; from the second on the slot is
// the engine's own and added to in place.
void accumulate(Node& node, const Tensor& gradient, bool create_graph) {
  if (!(gradient.shape() == node.shape))
    throw ShapeError(str("backward: gradient ", gradient.shape(), " for an output ", node.shape,
                         " of ", node.name()));
  if (!node.slot.defined()) node.slot = gradient;
  else if (create_graph || node.slot.requires_grad() || gradient.requires_grad() ||
           !is_owned(node.slot))
    node.slot = node.slot + gradient;
  else add_in_place(node.slot.array(), gradient.array());
}

bool is_owned(const Tensor& slot) {
  return slot.impl()->use_count() == 1 && slot.array().storage().use_count() == 1 &&
         slot.array().is_contiguous();
}

void set_cotangent_hook(CotangentHook hook) { cotangent_hook = hook; }

void Vjp::add(int i, const Tensor& gradient) {
  if (!needs(i)) return;
  Node& target = *node_.inputs[i].node;
  const Tensor* g = &gradient;
  Tensor changed;
  if (CotangentHook hook = cotangent_hook.load(std::memory_order_relaxed)) {
    changed = hook(node_.name(), i, gradient);
    g = &changed;
  }
  if (detail::anomaly) check_gradient(node_, i, *g);
  accumulate(target, *g, create_graph_);
}

Vjp::Slot Vjp::slot(int i) {
  Node& target = *node_.inputs[i].node;
  bool hooked = cotangent_hook.load(std::memory_order_relaxed) || detail::anomaly;
  if (target.slot.defined() && !hooked && is_owned(target.slot) && !target.slot.requires_grad())
    return {target.slot.array(), true};
  return {cotangent().array().new_empty(target.shape, target.dtype), false};
}

static void check_version(const Array& saved, uint32_t version, const char* op) {
  if (saved.storage().version() != version)
    throw GradError(str("backward: a tensor ", saved.shape(), " that '", op,
                        "' saved was changed in place between forward and backward"));
}

Tensor Vjp::input(int i) const {
  const Node::Edge& edge = node_.inputs[i];
  if (!edge.saved.defined())
    throw GradError(str("backward: '", node_.name(), "' did not save input ", i));
  check_version(edge.saved.array(), edge.version, node_.name());
  return edge.saved;
}

Tensor Vjp::output() const {
  check_version(node_.saved_output, node_.output_version, node_.name());
  return create_graph_ ? Tensor(node_.saved_output, Ref<Node>(&node_)) : Tensor(node_.saved_output);
}

namespace {
struct Alias {
  static constexpr const char* name = "alias";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return in[0]; }
  void vjp(Vjp& v) { v.add(0, v.cotangent()); }
};
}  // namespace

std::vector<Tensor> Vjp::alias_inputs() const {
  std::vector<Tensor> in;
  GradMode on(true);
  for (int i = 0; i < count(); ++i) {
    const Node::Edge& edge = node_.inputs[i];
    if (!edge.saved.defined()) in.emplace_back();
    else if (needs(i)) in.push_back(apply(Alias{}, input(i)));
    else in.push_back(input(i));
  }
  return in;
}

void Vjp::differentiate(const Tensor& output, const std::vector<Tensor>& in) {
  std::vector<Node*> targets;
  std::vector<int> which;
  for (int i = 0; i < count(); ++i)
    if (needs(i)) {
      targets.push_back(in[i].node().get());
      which.push_back(i);
    }
  BackwardOptions options;
  options.create_graph = create_graph_;
  auto gradients = run_backward({output}, {cotangent()}, &targets, options, true);
  for (size_t t = 0; t < which.size(); ++t)
    add(which[t], gradients[t].defined() ? gradients[t]
                                         : cotangent().new_zeros(shape(which[t]), dtype(which[t])));
}

}  // namespace heed
