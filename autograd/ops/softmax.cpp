#include <heed/autograd/ops/softmax.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/softmax.h>

namespace heed {

namespace {

// y = softmax(x), or its logarithm if kLog. kKeepsInput: for bf16, whose stored y is rounded and no
// longer sums to 1, backward computes y again from x, in f32.
template <bool kLog, bool kKeepsInput>
struct SoftmaxOp {
  static constexpr const char* name = kLog ? "log_softmax" : "softmax";
  static constexpr unsigned saves = kKeepsInput ? 1u : kOutput;
  int axis;

  Array forward(Inputs in) {
    require_floating(name, in[0]);
    Array out = in[0].new_empty(in[0].shape());
    kernels::softmax(packed(in[0]), axis, kLog, out);
    return out;
  }

  // y = softmax(x):      dx = y (g - sum(g y))
  // y = log_softmax(x):  dx = g - exp(y) sum(g)
  // With create_graph the output is a node of the graph, so the formula in Tensors is
  // differentiable.
  void vjp(Vjp& v) {
    Tensor y = kKeepsInput ? again(widened(v.input(0))) : v.output(), g = widened(v.cotangent());
    if (v.create_graph()) {
      Tensor dx = kLog ? g - exp(y) * sum(g, {axis}, true) : y * (g - sum(g * y, {axis}, true));
      v.add(0, cast(dx, v.dtype(0)));
      return;
    }
    Array grad = y.array().new_empty(y.shape());
    kernels::softmax_backward(y.array(), packed(g.array()), axis, kLog, grad);
    v.add(0, cast(Tensor(grad), v.dtype(0)));
  }
  Tensor again(const Tensor& x) const { return kLog ? log_softmax(x, axis) : softmax(x, axis); }
};

// The maximum as a constant: the result does not depend on it. Rows of -inf only are shifted by 0.
Tensor shift_of(const Tensor& x, int axis) {
  NoGrad guard;
  Tensor largest = max(x.detach(), axis, true);
  return where(equal(largest, -__builtin_inf()), 0.0, largest);
}

template <bool kLog>
Tensor softmax_of(const Tensor& x, int axis) {
  axis = normalize_axis(axis, x.rank(), SoftmaxOp<kLog, false>::name);
  if (x.dtype() == DType::bf16) return apply(SoftmaxOp<kLog, true>{axis}, x);
  return apply(SoftmaxOp<kLog, false>{axis}, x);
}

}  // namespace

Tensor softmax(const Tensor& x, int axis) { return softmax_of<false>(x, axis); }
Tensor log_softmax(const Tensor& x, int axis) { return softmax_of<true>(x, axis); }

Tensor softmax_reference(const Tensor& x, int axis) {
  Tensor e = exp(x - shift_of(x, axis));
  Tensor total = sum(e, {normalize_axis(axis, x.rank(), "softmax")}, true);
  return e / where(equal(total, 0), 1.0, total);
}

Tensor log_softmax_reference(const Tensor& x, int axis) {
  Tensor shifted = x - shift_of(x, axis);
  Tensor total = sum(exp(shifted), {normalize_axis(axis, x.rank(), "log_softmax")}, true);
  return shifted - log(where(equal(total, 0), 1.0, total));
}

}  // namespace heed
