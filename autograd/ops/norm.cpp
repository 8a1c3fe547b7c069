#include <heed/autograd/ops/norm.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/tape.h>
#include <heed/backends/norm.h>

namespace heed {

namespace {

void check(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  require_floating(op, x.array());
  if (x.rank() == 0) throw ShapeError(str(op, ": at least one axis expected, got a scalar"));
  if (!(eps >= 0)) throw ValueError(str(op, ": eps is ", eps, ", expected >= 0"));
  require_vector(op, "weight", weight, x.dim(-1), x.dtype());
  require_vector(op, "bias", bias, x.dim(-1), x.dtype());
}

Array optional(const Tensor& t) { return t.defined() ? packed(t.array()) : Array(); }
Array row_values(const Array& x) {
  int64_t size = x.dim(-1);
  return Array::empty({size == 0 ? 0 : x.numel() / size}, accumulate_dtype(x.dtype()));
}

// Inputs: x, weight, bias. kCentered: layer norm, otherwise RMS norm. Saved: x and weight, and a
// mean and a factor for each row, so that backward needs one pass less.
template <bool kCentered>
struct Norm {
  static constexpr const char* name = kCentered ? "layer_norm" : "rms_norm";
  static constexpr unsigned saves = kAllInputs;
  double eps;
  bool weighted;
  Array mean, rstd;
  Array done;  // add_layer_norm's kernel has already made the result

  Array forward(Inputs in) {
    if (done.defined()) return std::move(done);
    Array x = packed(in[0]), out = Array::empty(x.shape(), x.dtype());
    if (kCentered) mean = row_values(x);
    rstd = row_values(x);
    kernels::norm(x, Array(), optional(in.tensor(1)), optional(in.tensor(2)), eps, Array(), mean,
                  rstd, out);
    return out;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return v.by_reference([&](const std::vector<Tensor>& in) {
        return kCentered ? layer_norm_reference(in[0], in[1], in[2], eps)
                         : rms_norm_reference(in[0], in[1], eps);
      });
    Array x = packed(v.input(0).array());
    Array dx, dweight, dbias, scratch;
    if (v.needs(0)) dx = Array::empty(x.shape(), x.dtype());
    if (v.needs(1)) dweight = Array::zeros(v.shape(1), x.dtype());
    if (v.needs(2)) dbias = Array::zeros(v.shape(2), x.dtype());
    if (v.needs(1) || v.needs(2))
      scratch = Array::empty({kernels::norm_pieces(x.shape()), 2, x.dim(-1)}, DType::f64);
    Array weight = weighted ? packed(v.input(1).array()) : Array();
    kernels::norm_backward(x, weight, mean, rstd, packed(v.cotangent().array()), scratch, dx,
                           dweight, dbias);
    if (v.needs(0)) v.add(0, Tensor(dx));
    if (v.needs(1)) v.add(1, Tensor(dweight));
    if (v.needs(2)) v.add(2, Tensor(dbias));
  }
};

// The sum inside add_layer_norm, made by the same kernel as the norm; its gradient is both
// summands'.
struct ResidualSum {
  static constexpr const char* name = "add_layer_norm";
  static constexpr unsigned saves = 0;
  Array sum;
  Array forward(Inputs) { return std::move(sum); }
  void vjp(Vjp& v) {
    v.add(0, v.cotangent());
    v.add(1, v.cotangent());
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check("layer_norm", x, weight, bias, eps);
  return apply(Norm<true>{eps, weight.defined(), {}, {}, {}}, x, weight, bias);
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check("rms_norm", x, weight, Tensor(), eps);
  return apply(Norm<false>{eps, weight.defined(), {}, {}, {}}, x, weight, Tensor());
}

Tensor add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps) {
  check("add_layer_norm", x, weight, bias, eps);
  if (!(x.shape() == residual.shape()))
    throw ShapeError(
        str("add_layer_norm: x ", x.shape(), " and residual ", residual.shape(), " differ"));
  if (x.dtype() != residual.dtype())
    throw DTypeError(str("add_layer_norm: x is ", x.dtype(), ", residual is ", residual.dtype()));
  bool record = grad_enabled() && (x.requires_grad() || residual.requires_grad() ||
                                   weight.requires_grad() || bias.requires_grad());
  Norm<true> op{eps, weight.defined(), row_values(x.array()), row_values(x.array()),
                Array::empty(x.shape(), x.dtype())};
  Array sum = record ? Array::empty(x.shape(), x.dtype()) : Array();
  kernels::norm(packed(x.array()), packed(residual.array()), optional(weight), optional(bias), eps,
                sum, op.mean, op.rstd, op.done);
  if (!record) return Tensor(op.done);
  Tensor total = apply(ResidualSum{sum}, x, residual);
  return apply(std::move(op), total, weight, bias);
}

Tensor layer_norm_reference(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  Tensor centered = x - mean(x, {-1}, true);
  Tensor y = centered * rsqrt(mean(square(centered), {-1}, true) + eps);
  if (weight.defined()) y = y * weight;
  return bias.defined() ? y + bias : y;
}

Tensor rms_norm_reference(const Tensor& x, const Tensor& weight, double eps) {
  Tensor y = x * rsqrt(mean(square(x), {-1}, true) + eps);
  return weight.defined() ? y * weight : y;
}

}  // namespace heed
