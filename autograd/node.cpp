#include <heed/autograd/node.h>

#include <atomic>

namespace heed {

namespace {
std::atomic<uint64_t> next_sequence{1};
}

Node::Node() : sequence(next_sequence.fetch_add(1, std::memory_order_relaxed)) {}
Node::~Node() = default;

Leaf::Leaf(const Shape& shape, DType dtype) {
  output_.shape = shape;
  output_.dtype = dtype;
  outputs = {&output_, 1};
}

// A node's destructor releases its inputs, so a long chain would recurse as deep as it is long.
// Nodes that die meanwhile are queued here instead.
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

}  // namespace heed
