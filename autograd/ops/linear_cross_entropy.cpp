#include <heed/autograd/ops/class_target.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/linear_cross_entropy.h>

namespace heed {

namespace {

struct LinearCrossEntropy {
  static constexpr const char* name = "linear_cross_entropy";
  static constexpr unsigned saves = kAllInputs;
  CrossEntropyOptions options;
  // Of x, weight and bias for a cotangent of 1; computed in forward, which has the logits.
  Array gradients[3];

  Array forward(Inputs in) {
    const Array& x = in[0];
    int64_t size = x.dim(-1), rows = x.numel() / size, classes = in[1].dim(0);
    for (int i = 0; i < 3 && grad_enabled(); ++i)
      if (in.tensor(i).requires_grad()) gradients[i] = x.new_empty(in[i].shape());
    const DType dtype = accumulate_dtype(x.dtype());
    auto plan = kernels::linear_cross_entropy_plan(rows, size, classes, dtype);
    Array scratch = x.new_empty({plan.scratch}, DType::u8), loss = x.new_empty({}, dtype);
    Array dx = gradients[0].defined() ? gradients[0].view({rows, size}) : Array();
    kernels::linear_cross_entropy(packed(x).view({rows, size}), packed(in[1]), packed(in.tensor(2)),
                                  packed(in[3]).view({rows}), options.label_smoothing,
                                  options.ignore_index, options.reduction == Reduction::mean,
                                  scratch, loss, dx, gradients[1], gradients[2]);
    return loss;
  }

  void vjp(Vjp& v) {  // the loss is a scalar: gradients scale with its cotangent
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) {
        return linear_cross_entropy_reference(in[0], in[1], in[2], in[3], options);
      });
    for (int i = 0; i < 3; ++i) {
      if (!v.needs(i)) continue;
      Tensor gradient(gradients[i]);  // bf16, though the loss is f32
      v.add(i, cast(cast(gradient, v.cotangent().dtype()) * v.cotangent(), gradient.dtype()));
    }
  }
};

void check(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& target,
           const CrossEntropyOptions& options) {
  const char* op = LinearCrossEntropy::name;
  require_floating(op, x.array());
  if (weight.dtype() != x.dtype())
    throw DTypeError(str(op, ": weight is ", weight.dtype(), ", x is ", x.dtype()));
  if (x.rank() == 0 || weight.rank() != 2 || x.dim(-1) != weight.dim(1))
    throw ShapeError(str(op, ": x [.., D] and weight [V, D] expected, got ", x.shape(), " and ",
                         weight.shape()));
  if (weight.numel() == 0) throw ShapeError(str(op, ": weight ", weight.shape(), " is empty"));
  require_vector(op, "bias", bias, weight.dim(0), x.dtype());
  if (options.reduction == Reduction::none)
    throw ValueError(str(op, ": reduction mean or sum expected, got none"));
  check_class_target(op, target, Shape(x.shape().begin(), x.rank() - 1), weight.dim(0), options);
}

}  // namespace

Tensor linear_cross_entropy(const Tensor& x, const Tensor& weight, const Tensor& bias,
                            const Tensor& target, const CrossEntropyOptions& options) {
  check(x, weight, bias, target, options);
  return apply(LinearCrossEntropy{options, {}}, x, weight, bias, target);
}

Tensor linear_cross_entropy_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                      const Tensor& target, const CrossEntropyOptions& options) {
  auto wide = [](const Tensor& t) { return t.defined() ? widened(t) : t; };
  return cross_entropy_reference(linear(wide(x), wide(weight), wide(bias)), target, options);
}

}  // namespace heed
