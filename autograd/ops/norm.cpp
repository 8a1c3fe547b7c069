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

Array row_values(const Array& x) {
  int64_t size = x.dim(-1);
  return x.new_empty({size == 0 ? 0 : x.numel() / size}, accumulate_dtype(x.dtype()));
}

// The gradients by x (of the norm), weight and bias, where they are wanted.
struct NormGradients {
  Array x, weight, bias;
};
NormGradients norm_gradients(const Array& x, const Array& weight, const Array& mean,
                             const Array& rstd, const Tensor& cotangent, bool by_x, bool by_weight,
                             bool by_bias) {
  NormGradients g;
  Array scratch;
  if (by_x) g.x = x.new_empty(x.shape());
  if (by_weight) g.weight = x.new_zeros({x.dim(-1)});
  if (by_bias) g.bias = x.new_zeros({x.dim(-1)});
  if (by_weight || by_bias)
    scratch = x.new_empty({kernels::norm_pieces(x.shape()), 2, x.dim(-1)}, DType::f64);
  kernels::norm_backward(x, weight, mean, rstd, packed(cotangent.array()), scratch, g.x, g.weight,
                         g.bias);
  return g;
}

// Inputs: x, weight, bias. kCentered: layer norm, otherwise RMS norm. Saved: x, weight, and the
// mean and factor of each row, which save backward a pass.
template <bool kCentered>
struct Norm {
  static constexpr const char* name = kCentered ? "layer_norm" : "rms_norm";
  static constexpr unsigned saves = kAllInputs;
  double eps;
  bool weighted;
  Array mean, rstd;

  Array forward(Inputs in) {
    Array x = packed(in[0]), out = x.new_empty(x.shape());
    if (kCentered) mean = row_values(x);
    rstd = row_values(x);
    kernels::norm(x, Array(), packed(in.tensor(1)), packed(in.tensor(2)), eps, Array(), mean, rstd,
                  out);
    return out;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) {
        return kCentered ? layer_norm_reference(in[0], in[1], in[2], eps)
                         : rms_norm_reference(in[0], in[1], eps);
      });
    NormGradients g =
        norm_gradients(packed(v.input(0).array()), weighted ? packed(v.input(1).array()) : Array(),
                       mean, rstd, v.cotangent(), v.needs(0), v.needs(1), v.needs(2));
    if (v.needs(0)) v.add(0, Tensor(g.x));
    if (v.needs(1)) v.add(1, Tensor(g.weight));
    if (v.needs(2)) v.add(2, Tensor(g.bias));
  }
};

// Inputs: x, residual, weight, bias. The second output is the sum x + residual, which backward
// reads instead of the two; it is made only if there will be a backward. In second derivatives it
// is an output with its own gradient.
struct AddLayerNorm {
  static constexpr const char* name = "add_layer_norm";
  static constexpr unsigned saves = 0b1100 | output_bit(1);
  double eps;
  bool weighted;
  Array mean, rstd;

  std::array<Array, 2> forward(Inputs in) {
    Array x = packed(in[0]), out = x.new_empty(x.shape()), sum;
    if (in.recorded()) sum = x.new_empty(x.shape());
    mean = row_values(x);
    rstd = row_values(x);
    kernels::norm(x, packed(in[1]), packed(in.tensor(2)), packed(in.tensor(3)), eps, sum, mean,
                  rstd, out);
    return {out, sum};
  }

  void vjp(Vjp& v) {
    Tensor dsum = v.cotangent(1);
    if (v.cotangent(0).defined()) {
      auto [dnorm, dweight, dbias] = v.create_graph() ? composed(v) : fused(v);
      if (dnorm.defined()) dsum = dsum.defined() ? dsum + dnorm : dnorm;
      v.add(2, dweight);
      v.add(3, dbias);
    }
    v.add(0, dsum);
    v.add(1, dsum);
  }

  std::array<Tensor, 3> fused(const Vjp& v) const {
    bool by_sum = v.needs(0) || v.needs(1);
    NormGradients g =
        norm_gradients(packed(v.output(1).array()), weighted ? packed(v.input(2).array()) : Array(),
                       mean, rstd, v.cotangent(0), by_sum, v.needs(2), v.needs(3));
    auto tensor = [](const Array& a) { return a.defined() ? Tensor(a) : Tensor(); };
    return {tensor(g.x), tensor(g.weight), tensor(g.bias)};
  }

  std::array<Tensor, 3> composed(const Vjp& v) const {
    auto at = [&](int i) { return v.saved(i) ? v.input(i) : Tensor(); };
    std::vector<Tensor> g =
        reference_gradients(v,
                            [&](const std::vector<Tensor>& in) {
                              return layer_norm_reference(in[0], in[1], in[2], eps);
                            },
                            {v.output(1), at(2), at(3)});
    return {g[0], g[1], g[2]};
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps) {
  check("layer_norm", x, weight, bias, eps);
  return apply(Norm<true>{eps, weight.defined(), {}, {}}, x, weight, bias);
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  check("rms_norm", x, weight, Tensor(), eps);
  return apply(Norm<false>{eps, weight.defined(), {}, {}}, x, weight, Tensor());
}

Tensor add_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight,
                      const Tensor& bias, double eps) {
  check("add_layer_norm", x, weight, bias, eps);
  if (!(x.shape() == residual.shape()))
    throw ShapeError(
        str("add_layer_norm: x ", x.shape(), " and residual ", residual.shape(), " differ"));
  if (x.dtype() != residual.dtype())
    throw DTypeError(str("add_layer_norm: x is ", x.dtype(), ", residual is ", residual.dtype()));
  return apply(AddLayerNorm{eps, weight.defined(), {}, {}}, x, residual, weight, bias)[0];
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
