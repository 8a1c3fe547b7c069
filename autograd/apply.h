// Runs an op and, if a gradient is wanted, records it. tape.h shows how an op is written.
#pragma once

#include <array>
#include <span>
#include <type_traits>
#include <utility>
#include <vector>

#include <heed/autograd/anomaly.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/node.h>

namespace heed {

// Bits of `saves`: 1 << i for input i < 24, output_bit(k) for output k < 8.
inline constexpr unsigned kAllInputs = (1u << 24) - 1;  // however many there are
constexpr unsigned output_bit(int k) { return 1u << (31 - k); }
inline constexpr unsigned kOutput = output_bit(0);

// What forward sees.
class Inputs {
 public:
  Inputs(const Tensor* const* tensors, int count) : tensors_(tensors), count_(count) {}
  int count() const { return count_; }
  const Array& operator[](int i) const { return tensors_[i]->array(); }
  const Tensor& tensor(int i) const { return *tensors_[i]; }
  bool recorded() const;  // a node follows, so forward has to keep what backward needs

 private:
  const Tensor* const* tensors_;
  int count_;
};

namespace detail {

bool wants_node(const Tensor* const* inputs, int count);
// Fills the node's edges and outputs; node.outputs has the length of `outputs`.
void record(Node& node, const Tensor* const* inputs, int count, unsigned saves,
            std::span<const Array> outputs);
// Output k as a tensor: a constant if there is no node or the dtype takes no gradient, undefined if
// the op left it undefined.
Tensor output_of(const Ref<Node>& node, int k, Array&& value);

template <class Forward>
inline constexpr size_t kOutputs = 1;
template <size_t N>
inline constexpr size_t kOutputs<std::array<Array, N>> = N;

template <class Op>
using ForwardOf = decltype(std::declval<Op&>().forward(std::declval<Inputs>()));

template <class Op>
std::array<Array, kOutputs<ForwardOf<Op>>> forward(Op& op, Inputs in) {
  if constexpr (std::is_same_v<ForwardOf<Op>, Array>) return {{op.forward(in)}};
  else return op.forward(in);
}

template <class Op>
constexpr unsigned minus_inf() {
  if constexpr (requires { Op::minus_inf; }) return Op::minus_inf;
  else return 0;
}

// An op without a vjp has no gradient.
template <class Op>
concept HasVjp = requires(Op& op, Vjp& v) {
  op.vjp(v);
};
[[noreturn]] void refuse_gradient(const char* op);

template <class Op>
struct OpNode final : Node {
  explicit OpNode(Op&& o) : op(std::move(o)) { outputs = own; }
  const char* name() const override { return Op::name; }
  void vjp(Vjp& v) override { op.vjp(v); }
  Op op;
  std::array<Output, kOutputs<ForwardOf<Op>>> own;
};

}  // namespace detail

// A Tensor where `forward` returns an Array, std::array<Tensor, N> where it returns
// std::array<Array, N>.
template <class Op>
auto apply_list(Op op, const Tensor* const* inputs, int count) {
  constexpr size_t n = detail::kOutputs<detail::ForwardOf<Op>>;
  static_assert(n <= 8, "`saves` has a bit for 8 outputs");
  OpName scope(Op::name);
  static_assert(
      detail::HasVjp<Op> || !requires { Op::saves; }, "what `saves` is for needs a vjp");
  if constexpr (!detail::HasVjp<Op>)
    if (detail::wants_node(inputs, count)) detail::refuse_gradient(Op::name);
  std::array<Array, n> outputs = detail::forward(op, Inputs(inputs, count));
  if (detail::anomaly)
    detail::check_outputs(Op::name, inputs, count, outputs, detail::minus_inf<Op>());
  Ref<Node> node;
  if constexpr (detail::HasVjp<Op>) {
    bool takes_gradient = false;
    for (const Array& output : outputs) takes_gradient |= is_differentiable(output.dtype());
    if (takes_gradient && detail::wants_node(inputs, count)) {
      node = Ref<Node>(new detail::OpNode<Op>(std::move(op)));
      detail::record(*node, inputs, count, Op::saves, outputs);
    }
  }
  if constexpr (std::is_same_v<detail::ForwardOf<Op>, Array>) {
    return Tensor(std::move(outputs[0]), std::move(node));
  } else {
    std::array<Tensor, n> results;
    for (size_t k = 0; k < n; ++k)
      results[k] = detail::output_of(node, static_cast<int>(k), std::move(outputs[k]));
    return results;
  }
}

template <class Op, class... T>
auto apply(Op op, const T&... inputs) {
  const Tensor* list[] = {&inputs...};
  return apply_list(std::move(op), list, sizeof...(inputs));
}

template <class Op>
auto apply(Op op, const std::vector<Tensor>& inputs) {
  std::vector<const Tensor*> list;
  for (const Tensor& t : inputs) list.push_back(&t);
  return apply_list(std::move(op), list.data(), static_cast<int>(list.size()));
}

}  // namespace heed
