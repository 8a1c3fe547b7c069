#include <heed/autograd/ops/group_norm.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/group_norm.h>

namespace heed {

namespace {

// x as the kernels take it: [B, C, S].
Array maps(const Array& x) {
  int64_t rows = x.dim(0) * x.dim(1);
  return packed(x).view({x.dim(0), x.dim(1), rows == 0 ? 0 : x.numel() / rows});
}

// Inputs: x, weight, bias, all saved, and the mean and factor of each group.
struct GroupNorm {
  static constexpr const char* name = "group_norm";
  static constexpr unsigned saves = kAllInputs;
  int64_t groups;
  double eps;
  Array statistics;

  Array forward(Inputs in) {
    Array x = maps(in[0]), out = x.new_empty(x.shape());
    statistics = x.new_empty({2, x.dim(0), groups}, DType::f64);
    kernels::group_norm(x, packed(in.tensor(1)), packed(in.tensor(2)), eps, statistics, out);
    return out.view(in[0].shape());
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) {
        return group_norm_reference(in[0], groups, in[1], in[2], eps);
      });
    Array x = maps(v.input(0).array()), dx, dweight, dbias;
    if (v.needs(0)) dx = x.new_empty(x.shape());
    if (v.needs(1)) dweight = x.new_zeros({x.dim(1)});
    if (v.needs(2)) dbias = x.new_zeros({x.dim(1)});
    kernels::group_norm_backward(x, v.saved(1) ? packed(v.input(1)) : Array(), statistics,
                                 maps(v.cotangent().array()), dx, dweight, dbias);
    if (v.needs(0)) v.add(0, Tensor(dx.view(v.shape(0))));
    if (v.needs(1)) v.add(1, Tensor(dweight));
    if (v.needs(2)) v.add(2, Tensor(dbias));
  }
};

}  // namespace

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias,
                  double eps) {
  const char* op = "group_norm";
  require_floating(op, x.array());
  if (x.rank() < 2) throw ShapeError(str(op, ": x [B, C, ...] expected, got ", x.shape()));
  if (groups < 1 || x.dim(1) % groups != 0)
    throw ValueError(str(op, ": ", groups, " groups do not divide the ", x.dim(1),
                         " channels of x ", x.shape()));
  if (!(eps >= 0)) throw ValueError(str(op, ": eps is ", eps, ", expected >= 0"));
  require_vector(op, "weight", weight, x.dim(1), x.dtype());
  require_vector(op, "bias", bias, x.dim(1), x.dtype());
  return apply(GroupNorm{groups, eps, {}}, x, weight, bias);
}

Tensor group_norm_reference(const Tensor& x, int64_t groups, const Tensor& weight,
                            const Tensor& bias, double eps) {
  const int64_t batch = x.dim(0), channels = x.dim(1);  // perhaps 0, where no -1 can be inferred
  int64_t size = 1;
  for (int i = 2; i < x.rank(); ++i) size *= x.dim(i);
  Tensor lots = widened(x).reshape({batch, groups, channels / groups * size});
  Tensor centered = lots - mean(lots, {-1}, true);
  Tensor y = centered * rsqrt(mean(square(centered), {-1}, true) + eps);
  y = y.reshape({batch, channels, size});
  if (weight.defined()) y = y * widened(weight).reshape({-1, 1});
  if (bias.defined()) y = y + widened(bias).reshape({-1, 1});
  return y.reshape(x.shape()).to(x.dtype());
}

}  // namespace heed
