#include <heed/autograd/checkpoint.h>

#include <unordered_set>
#include <utility>

#include <heed/autograd/engine.h>
#include <heed/autograd/tape.h>
#include <heed/core/random.h>

namespace heed {

namespace {

// The default generator as it was, for the length of a scope.
class GeneratorState {
 public:
  GeneratorState(uint64_t seed, uint64_t offset)
      : seed_(default_generator().seed()), offset_(default_generator().offset()) {
    default_generator().set_state(seed, offset);
  }
  ~GeneratorState() { default_generator().set_state(seed_, offset_); }
  GeneratorState(const GeneratorState&) = delete;

 private:
  uint64_t seed_, offset_;
};

struct Alias {
  static constexpr const char* name = "alias";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return in[0]; }
  void vjp(Vjp& v) { v.add(0, v.cotangent()); }
};

// What f's graph hangs on besides its inputs: parameters and captured results, recognised by being
// older than the run. `saved` are their values as f's ops kept them, with versions.
struct Boundary {
  std::vector<Ref<Node>> nodes;
  std::vector<std::pair<Array, uint32_t>> saved;
};

Boundary boundary_of(const Tensor& output, uint64_t start, const std::vector<Tensor>& aliases) {
  std::unordered_set<Node*> seen;
  for (const Tensor& alias : aliases)
    if (alias.requires_grad()) seen.insert(alias.node().get());
  Boundary found;
  std::vector<Node*> open;
  auto visit = [&](const Ref<Node>& node) {
    if (!node || !seen.insert(node.get()).second) return;
    if (node->sequence < start) found.nodes.push_back(node);
    else open.push_back(node.get());
  };
  visit(output.node());
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    for (const Node::Edge& edge : node->inputs) {
      bool older = edge.node && edge.node->sequence < start;
      if (older && edge.saved.defined()) found.saved.emplace_back(edge.saved.array(), edge.version);
      visit(edge.node);
    }
  }
  return found;
}

class CheckpointNode final : public Node {
 public:
  CheckpointNode(CheckpointFunction f, uint64_t seed, uint64_t offset)
      : f_(std::move(f)), seed_(seed), offset_(offset) {}
  const char* name() const override { return "checkpoint"; }
  void keep(Boundary boundary);
  void vjp(Vjp& v) override;

 private:
  CheckpointFunction f_;
  uint64_t seed_, offset_;
  int given_ = 0;  // inputs that f takes; the edges after them are the boundary
  std::vector<std::pair<Array, uint32_t>> saved_;
};

void CheckpointNode::keep(Boundary boundary) {
  given_ = static_cast<int>(inputs.size());
  for (Ref<Node>& node : boundary.nodes) {
    Edge edge;
    edge.shape = node->shape;
    edge.dtype = node->dtype;
    edge.node = std::move(node);
    inputs.push_back(std::move(edge));
  }
  saved_ = std::move(boundary.saved);
}

void CheckpointNode::vjp(Vjp& v) {
  for (const auto& [array, version] : saved_)
    if (array.storage().version() != version)
      throw GradError(str("backward: a tensor ", array.shape(),
                          " that a checkpointed function uses was changed in "
                          "place between forward and backward"));
  std::vector<Tensor> in;
  std::vector<Node*> targets;
  std::vector<int> which;
  Tensor again;
  {
    GradMode on(true);
    for (int i = 0; i < given_; ++i) {
      if (!inputs[static_cast<size_t>(i)].saved.defined()) in.emplace_back();
      else if (!v.needs(i)) in.push_back(v.input(i).detach());
      else in.push_back(apply(Alias{}, v.input(i)));
    }
    GeneratorState state(seed_, offset_);
    again = f_(in);
  }
  if (!(again.shape() == shape) || again.dtype() != dtype)
    throw GradError(str("backward: a checkpointed function gave ", shape, " ", dtype,
                        " in forward and ", again.shape(), " ", again.dtype(), " when run again"));
  for (int i = 0; i < v.count(); ++i) {
    if (!v.needs(i)) continue;
    targets.push_back(i < given_ ? in[static_cast<size_t>(i)].node().get()
                                 : inputs[static_cast<size_t>(i)].node.get());
    which.push_back(i);
  }
  // A parameter's slot may hold gradients from outside of f already: the nested run adds to it,
  // hands it over as its result and leaves it empty, so adding the result puts back the sum.
  BackwardOptions options;
  options.create_graph = v.create_graph();
  std::vector<Tensor> gradients = run_backward({again}, {v.cotangent()}, &targets, options, true);
  for (size_t t = 0; t < which.size(); ++t)
    if (gradients[t].defined()) v.add(which[t], gradients[t]);
}

}  // namespace

Tensor checkpoint(CheckpointFunction f, const std::vector<Tensor>& inputs) {
  if (!grad_enabled()) return f(inputs);
  uint64_t seed = default_generator().seed(), offset = default_generator().offset();
  Ref<CheckpointNode> node(new CheckpointNode(f, seed, offset));
  // Leaves in place of the inputs: f's graph ends there and dies with this scope.
  std::vector<Tensor> aliases;
  for (const Tensor& x : inputs) {
    aliases.push_back(x.defined() ? x.detach() : x);
    if (x.requires_grad()) aliases.back().set_requires_grad(true);
  }
  Tensor y = f(aliases);
  if (!y.requires_grad()) return y;
  Boundary boundary = boundary_of(y, node->sequence, aliases);
  std::vector<const Tensor*> list;
  for (const Tensor& x : inputs) list.push_back(&x);
  Tensor output = detail::record(Ref<Node>(node), list.data(), static_cast<int>(list.size()),
                                 kAllInputs, y.array());
  node->keep(std::move(boundary));
  return output;
}

}  // namespace heed
