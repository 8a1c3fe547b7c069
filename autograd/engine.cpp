#include <heed/autograd/engine.h>

#include <algorithm>
#include <atomic>

#include <heed/autograd/apply.h>

namespace heed {

namespace {

std::atomic<uint64_t> next_mark{1};

struct Alias {
  static constexpr const char* name = "alias";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return in[0]; }
  void vjp(Vjp& v) { v.add(0, v.cotangent()); }
};

void run_hooks(Node::Output& output) {
  for (size_t i = 0; i < output.hooks.size(); ++i) {
    Tensor changed = output.hooks[i].function(output.cotangent, output.hooks[i].context);
    if (!changed.defined()) continue;
    const Tensor& before = output.cotangent;
    if (!(changed.shape() == before.shape()) || changed.dtype() != before.dtype() ||
        changed.device() != before.device())
      throw GradError(str("backward: a hook gave ", changed.shape(), " ", changed.dtype(), " on ",
                          to_string(changed.device()), " for a gradient ", before.shape(), " ",
                          before.dtype(), " on ", to_string(before.device())));
    output.cotangent = changed;
  }
}

void free_saved(Node& node) {
  for (Node::Edge& edge : node.inputs) edge.saved = Tensor();
  for (Node::Output& output : node.outputs) output.saved = Array();
  node.freed = true;
}

// One backward.
class Engine {
 public:
  Engine(const std::vector<GradientTarget>* targets, EngineOptions options)
      : targets_(targets), options_(options), results_(targets ? targets->size() : 0) {}
  ~Engine() {  // no node keeps a gradient after a run that throws
    if (!done_)
      for (Node* node : nodes_) clear(*node);
  }
  std::vector<Tensor> run(const std::vector<Tensor>& outputs,
                          const std::vector<Tensor>& cotangents);

 private:
  void collect(const std::vector<Tensor>& outputs);
  void mark_needed();
  void refuse_replaced() const;
  void work(Node& node);
  void arrive(Node& node, int k);
  void expand(Node& node);
  // Where a nested run ends. Except for the targets' gradients, the node belongs to the outer run.
  bool is_boundary(const Node& node) const {
    return options_.nested && (node.sequence < options_.first ||
                               std::any_of(targets_->begin(), targets_->end(),
                                           [&](const auto& t) { return t.node == &node; }));
  }
  static void clear(Node& node) {
    for (Node::Output& output : node.outputs)
      if (output.cotangent.defined()) output.cotangent = Tensor();
  }

  const std::vector<GradientTarget>* targets_;
  EngineOptions options_;
  std::vector<Node*> nodes_;  // users before their inputs
  std::vector<Ref<Node>> alive_;
  std::vector<Tensor> results_;
  bool done_ = false;
};

// All nodes that the outputs depend on; they stay alive while the engine works on them.
void Engine::collect(const std::vector<Tensor>& outputs) {
  const uint64_t mark = next_mark.fetch_add(1);
  auto visit = [&](Node* node) {
    if (!node || node->mark == mark) return;
    node->mark = mark;
    nodes_.push_back(node);
  };
  for (const Tensor& output : outputs)
    if (output.requires_grad()) visit(output.node().get());
  for (size_t i = 0; i < nodes_.size(); ++i) {
    Node& node = *nodes_[i];
    if (is_boundary(node)) continue;
    node.leads = false;
    for (Node::Output& output : node.outputs) output.wanted = !targets_ && node.is_leaf();
    for (const Node::Edge& edge : node.inputs) visit(edge.node.get());
  }
  std::sort(nodes_.begin(), nodes_.end(),
            [](const Node* a, const Node* b) { return a->sequence > b->sequence; });
  alive_.reserve(nodes_.size());
  for (Node* node : nodes_) alive_.emplace_back(node);
}

// A nested run wants only what the outer run needs, so its `wanted` changes no edge.needed() of the
// outer run.
void Engine::mark_needed() {
  if (targets_)
    for (const GradientTarget& t : *targets_)
      t.node->outputs[static_cast<size_t>(t.output)].wanted = true;
  for (auto it = nodes_.rbegin(); it != nodes_.rend(); ++it) {
    Node& node = **it;
    if (is_boundary(node)) continue;
    for (const Node::Edge& edge : node.inputs) node.leads |= edge.needed();
  }
}

// Before any gradient is written, so that a backward that fails here can be tried again.
void Engine::refuse_replaced() const {
  for (const Node* node : nodes_)
    if (node->is_leaf() && node->outputs[0].wanted && static_cast<const Leaf*>(node)->replaced)
      throw GradError(str("backward: a tensor ", node->outputs[0].shape,
                          " was given another value (set_value, Module::to) between forward and "
                          "backward"));
}

std::vector<Tensor> Engine::run(const std::vector<Tensor>& outputs,
                                const std::vector<Tensor>& cotangents) {
  collect(outputs);
  mark_needed();
  refuse_replaced();
  GradMode mode(options_.create_graph);
  for (size_t i = 0; i < outputs.size(); ++i)
    if (outputs[i].requires_grad() && cotangents[i].defined())
      accumulate(*outputs[i].node(), outputs[i].output(), cotangents[i], options_.create_graph);
  for (Node* node : nodes_) work(*node);
  done_ = true;
  return std::move(results_);
}

// All users of the node have run, so its gradients are complete.
void Engine::work(Node& node) {
  const bool boundary = is_boundary(node);
  bool any = false;
  for (size_t k = 0; k < node.outputs.size(); ++k) {
    Node::Output& output = node.outputs[k];
    if (!output.cotangent.defined() || !(node.leads || output.wanted)) continue;
    any = true;
    arrive(node, static_cast<int>(k));
  }
  if (boundary) return;
  if (any && node.leads) expand(node);
  clear(node);
}

void Engine::arrive(Node& node, int k) {
  Node::Output& output = node.outputs[static_cast<size_t>(k)];
  if (!options_.nested && !output.hooks.empty()) run_hooks(output);
  if (targets_) {
    bool taken = false;
    for (size_t t = 0; t < targets_->size() && output.wanted; ++t)
      if ((*targets_)[t].node == &node && (*targets_)[t].output == k) {
        results_[t] = output.cotangent;
        taken = true;
      }
    if (taken && options_.nested) output.cotangent = Tensor();
  } else if (node.is_leaf()) {
    Tensor& grad = static_cast<Leaf&>(node).grad;
    grad = grad.defined() ? gradient_sum(grad, output.cotangent) : output.cotangent;
  }
}

void Engine::expand(Node& node) {
  if (node.freed)
    throw GradError(str("backward: the graph at op '", node.name(),
                        "' was freed by an earlier backward; pass retain_graph to go through it "
                        "twice"));
  Vjp v(node, options_.create_graph);
  OpName scope(node.name());
  node.vjp(v);
  if (!options_.retain_graph && !options_.create_graph) free_saved(node);
}

}  // namespace

std::vector<Tensor> run_backward(const std::vector<Tensor>& outputs,
                                 const std::vector<Tensor>& cotangents,
                                 const std::vector<GradientTarget>* targets,
                                 EngineOptions options) {
  return Engine(targets, options).run(outputs, cotangents);
}

Tensor alias(const Tensor& x) { return apply(Alias{}, x); }

}  // namespace heed
