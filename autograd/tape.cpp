#include <heed/autograd/tape.h>

#include <atomic>

#include <heed/autograd/engine.h>
#include <heed/backends/elementwise.h>

namespace heed {

namespace {
std::atomic<uint64_t> next_sequence{1};
thread_local constinit bool recording = true;
thread_local constinit ModuleScope* module_scope = nullptr;
}  // namespace

thread_local constinit bool detail::anomaly = false;

bool grad_enabled() { return recording; }
GradMode::GradMode(bool on) : before_(recording) { recording = on; }
GradMode::~GradMode() { recording = before_; }

bool anomaly_mode() { return detail::anomaly; }
AnomalyMode::AnomalyMode() : before_(detail::anomaly) { detail::anomaly = true; }
AnomalyMode::~AnomalyMode() { detail::anomaly = before_; }

ModuleScope::ModuleScope(const std::string* name) : name_(name), outer_(module_scope) {
  module_scope = this;
}
ModuleScope::~ModuleScope() { module_scope = outer_; }
std::string ModuleScope::path() {
  std::string path;
  for (ModuleScope* scope = module_scope; scope; scope = scope->outer_)
    if (!scope->name_->empty()) path = path.empty() ? *scope->name_ : *scope->name_ + "." + path;
  return path;
}

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}
Node::~Node() = default;

// A node's destructor releases its inputs; a long chain would recurse as deep as it is long. So the
// nodes that die meanwhile queue up here.
void destroy(Node* node) {
  thread_local std::vector<Node*>* queue = nullptr;
  if (queue) {
    queue->push_back(node);
    return;
  }
  std::vector<Node*> pending;
  queue = &pending;
  delete node;
  while (!pending.empty()) {
    Node* next = pending.back();
    pending.pop_back();
    delete next;
  }
  queue = nullptr;
}

namespace detail {

bool wants_node(const Tensor* const* inputs, int count) {
  if (!recording) return false;
  for (int i = 0; i < count; ++i)
    if (inputs[i]->requires_grad()) return true;
  return false;
}

std::string user_location();  // anomaly.cpp

Tensor record(Ref<Node> node, const Tensor* const* inputs, int count, unsigned saves,
              Array output) {
  node->shape = output.shape();
  node->dtype = output.dtype();
  node->inputs.resize(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    const Tensor& input = *inputs[i];
    if (!input.defined()) continue;
    Node::Edge& edge = node->inputs[static_cast<size_t>(i)];
    edge.node = input.node();
    edge.shape = input.shape();
    edge.dtype = input.dtype();
    bool save = saves & (i < 31 ? 1u << i : 0u);
    if (save || ((saves & kAllInputs) == kAllInputs)) {
      edge.saved = input;
      edge.version = input.array().storage().version();
    }
  }
  if (saves & kOutput) {
    node->saved_output = output;
    node->output_version = output.storage().version();
  }
  if (anomaly) node->where = str(ModuleScope::path(), user_location());
  return Tensor(std::move(output), std::move(node));
}

}  // namespace detail

void add_in_place(const Array& target, const Array& source) {
  kernels::binary(BinaryOp::add, target, source, target);
}

}  // namespace heed
