#include <heed/autograd/recompute.h>

#include <set>
#include <unordered_set>
#include <utility>

#include <heed/autograd/apply.h>
#include <heed/autograd/engine.h>
#include <heed/core/random.h>

namespace heed {

namespace {

// Restores the default generator at the end of a scope.
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

thread_local bool running_again = false;

class RunningAgain {
 public:
  RunningAgain() : before_(std::exchange(running_again, true)) {}
  ~RunningAgain() { running_again = before_; }
  RunningAgain(const RunningAgain&) = delete;

 private:
  bool before_;
};

// What f's graph depends on besides its inputs: parameters and captured results, recognised by
// nodes older than the run. `saved` holds those that f's ops saved, with versions.
struct Boundary {
  std::vector<Node::Edge> edges;
  std::vector<std::pair<Tensor, uint64_t>> saved;
};

Boundary boundary_of(const std::vector<Tensor>& outputs, uint64_t start) {
  Boundary found;
  std::set<std::pair<Node*, int>> older;
  std::unordered_set<Node*> newer;
  std::vector<Node*> open;
  auto visit = [&](const Ref<Node>& node, int output) {
    if (!node) return;
    if (node->sequence >= start) {
      if (newer.insert(node.get()).second) open.push_back(node.get());
    } else if (older.insert({node.get(), output}).second) {
      Node::Edge edge;
      edge.node = node;
      edge.output = output;
      edge.shape = edge.source().shape;
      edge.dtype = edge.source().dtype;
      found.edges.push_back(std::move(edge));
    }
  };
  for (const Tensor& output : outputs)
    if (output.requires_grad()) visit(output.node(), output.output());
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    for (const Node::Edge& edge : node->inputs) {
      bool before = edge.node && edge.node->sequence < start;
      if (before && edge.saved.defined()) found.saved.emplace_back(edge.saved, edge.version);
      visit(edge.node, edge.output);
    }
  }
  return found;
}

class RecomputeNode final : public Node {
 public:
  RecomputeNode(RecomputeListFunction f, uint64_t seed, uint64_t offset)
      : f_(std::move(f)), seed_(seed), offset_(offset) {}
  const char* name() const override { return "recompute"; }
  void keep(const std::vector<Tensor>& in, const std::vector<Array>& results, Boundary boundary);
  void vjp(Vjp& v) override;

 private:
  void check_versions() const;
  std::vector<Tensor> run_again(const std::vector<Tensor>& in) const;

  RecomputeListFunction f_;
  uint64_t seed_, offset_;
  Device device_ = default_device();
  DType dtype_ = default_dtype();
  std::vector<Output> own_;
  size_t given_ = 0;  // inputs that f takes; the edges after them are the boundary
  std::vector<std::pair<Tensor, uint64_t>> saved_;
};

void RecomputeNode::keep(const std::vector<Tensor>& in, const std::vector<Array>& results,
                         Boundary boundary) {
  own_.resize(results.size());
  outputs = own_;
  std::vector<const Tensor*> list;
  for (const Tensor& x : in) list.push_back(&x);
  detail::record(*this, list.data(), static_cast<int>(list.size()), kAllInputs, results);
  given_ = inputs.size();
  for (Edge& edge : boundary.edges) inputs.push_back(std::move(edge));
  saved_ = std::move(boundary.saved);
}

void RecomputeNode::check_versions() const {
  for (const auto& [tensor, version] : saved_)
    if (tensor.version() != version)
      throw GradError(str("backward: a tensor ", tensor.shape(),
                          " that a recomputed function uses was changed in "
                          "place between forward and backward"));
}

std::vector<Tensor> RecomputeNode::run_again(const std::vector<Tensor>& in) const {
  RunningAgain scope;
  GradMode recording(true);
  GeneratorState state(seed_, offset_);
  OpName none("");  // f is user code, which may read the defaults: those of forward
  DefaultDevice on(device_);
  DefaultDType of(dtype_);
  std::vector<Tensor> results = f_(in);
  if (results.size() != outputs.size())
    throw GradError(str("backward: a recomputed function gave ", outputs.size(),
                        " tensors in forward and ", results.size(), " when run again"));
  for (size_t k = 0; k < results.size(); ++k) {
    const Tensor& y = results[k];
    if (!y.defined() || (y.shape() == outputs[k].shape && y.dtype() == outputs[k].dtype)) continue;
    throw GradError(str("backward: a recomputed function gave ", outputs[k].shape, " ",
                        outputs[k].dtype, " in forward and ", y.shape(), " ", y.dtype(),
                        " when run again"));
  }
  return results;
}

void RecomputeNode::vjp(Vjp& v) {
  check_versions();
  const uint64_t first = Leaf({}, DType::f32).sequence;  // what is made from here on is younger
  std::vector<Tensor> in;
  for (int i = 0; i < static_cast<int>(given_); ++i) {
    GradMode on(true);
    if (!v.saved(i)) in.emplace_back();
    else if (!v.needs(i)) in.push_back(v.input(i).detach());
    else in.push_back(alias(v.input(i)));
  }
  std::vector<Tensor> results = run_again(in), cotangents;
  for (int k = 0; k < v.outputs(); ++k) cotangents.push_back(v.cotangent(k));
  std::vector<GradientTarget> targets;
  std::vector<int> which;
  for (int i = 0; i < v.count(); ++i) {
    if (!v.needs(i)) continue;
    const Edge& edge = inputs[static_cast<size_t>(i)];
    if (static_cast<size_t>(i) < given_)
      targets.push_back({in[static_cast<size_t>(i)].node().get(), 0});
    else targets.push_back({edge.node.get(), edge.output});
    which.push_back(i);
  }
  // Gradients from outside f may already have arrived at a parameter. The nested run adds to their
  // sum, returns it as its result and leaves none behind, so adding the result restores the sum.
  EngineOptions options;
  options.create_graph = v.create_graph();
  options.nested = true;
  options.first = first;
  std::vector<Tensor> gradients = run_backward(results, cotangents, &targets, options);
  for (size_t t = 0; t < which.size(); ++t)
    if (gradients[t].defined()) v.add(which[t], gradients[t]);
}

}  // namespace

bool recomputing() { return running_again; }

std::vector<Tensor> recompute(RecomputeListFunction f, const std::vector<Tensor>& inputs) {
  if (!grad_enabled()) return f(inputs);
  Ref<RecomputeNode> node(
      new RecomputeNode(f, default_generator().seed(), default_generator().offset()));
  // Leaves stand in for the inputs: f's graph ends there and dies with this scope.
  std::vector<Tensor> aliases;
  for (const Tensor& x : inputs) {
    aliases.push_back(x.defined() ? x.detach() : x);
    if (x.requires_grad()) aliases.back().set_requires_grad(true);
  }
  std::vector<Tensor> results = f(aliases);
  std::vector<Array> values;
  bool recorded = false;
  for (const Tensor& y : results) {
    values.push_back(y.defined() ? y.array() : Array());
    recorded |= y.requires_grad();
  }
  if (!recorded) return results;
  node->keep(inputs, values, boundary_of(results, node->sequence));
  for (size_t k = 0; k < results.size(); ++k)
    if (results[k].requires_grad())
      results[k] = Tensor(std::move(values[k]), Ref<Node>(node), static_cast<int>(k));
  return results;
}

Tensor recompute(RecomputeFunction f, const std::vector<Tensor>& inputs) {
  auto list = [f = std::move(f)](const std::vector<Tensor>& in) { return std::vector{f(in)}; };
  return recompute(RecomputeListFunction(std::move(list)), inputs)[0];
}

}  // namespace heed
