#include <heed/autograd/ops/dropout.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/dropout.h>

namespace heed {

namespace {

void check(const char* op, const Tensor& x, double p) {
  require_floating(op, x.array());
  if (!(p >= 0 && p <= 1))
    throw ValueError(str(op, ": the probability is ", p, ", expected 0 <= p <= 1"));
}

Array run(const Array& x, const Array& residual, bool relu, double p, RandomKey key) {
  Array out = x.new_empty(x.shape());
  kernels::dropout(packed(x), residual, relu, p, key, out);
  return out;
}

struct Dropout {
  static constexpr const char* name = "dropout";
  static constexpr unsigned saves = 0;
  double p;
  RandomKey key;
  Array forward(Inputs in) { return run(in[0], Array(), false, p, key); }
  // y = mask x: linear, so the gradient is the same op and derivatives of any order follow.
  void vjp(Vjp& v) { v.add(0, dropout(v.cotangent(), p, key)); }
};

struct DropoutAdd {
  static constexpr const char* name = "dropout_add";
  static constexpr unsigned saves = 0;
  double p;
  RandomKey key;
  Array forward(Inputs in) { return run(in[0], packed(in[1]), false, p, key); }
  void vjp(Vjp& v) {  // y = mask x + residual
    if (v.needs(0)) v.add(0, dropout(v.cotangent(), p, key));
    v.add(1, v.cotangent());
  }
};

struct ReluDropout {
  static constexpr const char* name = "relu_dropout";
  static constexpr unsigned saves = kOutput;
  double p;
  RandomKey key;
  Array forward(Inputs in) { return run(in[0], Array(), true, p, key); }
  // y = mask max(x, 0): y > 0 exactly where x > 0 and x is kept, and dy/dx is the constant
  // 1 / (1 - p) there.
  void vjp(Vjp& v) {
    Array y = v.output().array(), grad = y.new_empty(y.shape());
    Tensor g = v.create_graph() ? v.cotangent().new_ones(y.shape()) : v.cotangent();
    kernels::relu_dropout_backward(y, packed(g.array()), p, grad);
    v.add(0, v.create_graph() ? v.cotangent() * Tensor(grad) : Tensor(grad));
  }
};

}  // namespace

Tensor dropout(const Tensor& x, double p, RandomKey key) {
  check("dropout", x, p);
  return p == 0 ? x : apply(Dropout{p, key}, x);
}

Tensor dropout(const Tensor& x, double p) {
  check("dropout", x, p);
  return p == 0 ? x : dropout(x, p, default_generator().take(x.numel()));
}

Tensor dropout_add(const Tensor& x, const Tensor& residual, double p, RandomKey key) {
  check("dropout_add", x, p);
  if (!(x.shape() == residual.shape()))
    throw ShapeError(
        str("dropout_add: x ", x.shape(), " and residual ", residual.shape(), " differ"));
  if (x.dtype() != residual.dtype())
    throw DTypeError(str("dropout_add: x is ", x.dtype(), ", residual is ", residual.dtype()));
  return p == 0 ? x + residual : apply(DropoutAdd{p, key}, x, residual);
}

Tensor relu_dropout(const Tensor& x, double p, RandomKey key) {
  check("relu_dropout", x, p);
  return p == 0 ? relu(x) : apply(ReluDropout{p, key}, x);
}

Tensor dropout_mask(const Shape& shape, double p, RandomKey key, const TensorOptions& options) {
  Tensor out(Array::empty(shape, options.dtype ? *options.dtype : default_dtype(),
                          options.device ? *options.device : default_device()));
  check("dropout_mask", out, p);
  kernels::dropout_mask(p, key, out.array());
  return out;
}
Tensor dropout_mask(const Shape& shape, double p, RandomKey key, DType dtype) {
  return dropout_mask(shape, p, key, {.dtype = dtype});
}

}  // namespace heed
