#include <heed/autograd/ops/conv.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/spatial_axes.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/conv.h>

namespace heed {
namespace {

// A convolution is linear in x and in the weight, so its two gradients and it are the gradients of
// one another. Each knows the shapes of all three operands.
struct Convolved {
  ConvGeometry geometry;
  Shape x, weight, out;  // with three axes

  void count() const {
    FlopCounter::add(2 * out.numel() * weight.numel() / std::max<int64_t>(1, weight[0]));
  }
};

Tensor input_gradient(const Convolved& c, const Tensor& cotangent, const Tensor& weight);
Tensor weight_gradient(const Convolved& c, const Tensor& x, const Tensor& cotangent);

struct Conv {
  static constexpr const char* name = "conv";
  static constexpr unsigned saves = 0b011;
  Convolved c;

  Array forward(Inputs in) {
    Array out = in[0].new_empty(c.out);
    kernels::conv(packed(in[0]), packed(in[1]), packed(in.tensor(2)), c.geometry, out);
    c.count();
    return out;
  }

  void vjp(Vjp& v) {
    const Tensor& g = v.cotangent();
    if (v.needs(0)) v.add(0, input_gradient(c, g, v.input(1)));
    if (v.needs(1)) v.add(1, weight_gradient(c, v.input(0), g));
    if (v.needs(2)) v.add(2, sum(g, {0, 2, 3, 4}));
  }
};

// Inputs: cotangent, weight.
struct ConvInputGradient {
  static constexpr const char* name = "conv_input_gradient";
  static constexpr unsigned saves = kAllInputs;
  Convolved c;

  Array forward(Inputs in) {
    Array dx = in[0].new_empty(c.x);
    kernels::conv_input_gradient(packed(in[0]), packed(in[1]), c.geometry, dx);
    c.count();
    return dx;
  }

  void vjp(Vjp& v) {
    const Tensor& g = v.cotangent();  // like x
    if (v.needs(0)) v.add(0, apply(Conv{c}, g, v.input(1), Tensor()));
    if (v.needs(1)) v.add(1, weight_gradient(c, g, v.input(0)));
  }
};

// Inputs: x, cotangent.
struct ConvWeightGradient {
  static constexpr const char* name = "conv_weight_gradient";
  static constexpr unsigned saves = kAllInputs;
  Convolved c;

  Array forward(Inputs in) {
    Array dweight = in[0].new_empty(c.weight);
    kernels::conv_weight_gradient(packed(in[0]), packed(in[1]), c.geometry, dweight);
    c.count();
    return dweight;
  }

  void vjp(Vjp& v) {
    const Tensor& g = v.cotangent();  // like the weight
    if (v.needs(0)) v.add(0, input_gradient(c, v.input(1), g));
    if (v.needs(1)) v.add(1, apply(Conv{c}, v.input(0), g, Tensor()));
  }
};

Tensor input_gradient(const Convolved& c, const Tensor& cotangent, const Tensor& weight) {
  return apply(ConvInputGradient{c}, cotangent, weight);
}
Tensor weight_gradient(const Convolved& c, const Tensor& x, const Tensor& cotangent) {
  return apply(ConvWeightGradient{c}, x, cotangent);
}

void check_operands(const char* op, int axes, const Tensor& x, const Tensor& weight,
                    const Tensor& bias, int64_t groups) {
  require_floating(op, x.array());
  if (x.rank() != axes + 2 || weight.rank() != axes + 2)
    throw ShapeError(str(op, ": x and weight with ", axes + 2, " axes expected, [B, C, ", axes,
                         " sizes] and [O, C / groups, ", axes, " sizes], got ", x.shape(), " and ",
                         weight.shape()));
  if (weight.dtype() != x.dtype())
    throw DTypeError(str(op, ": x is ", x.dtype(), ", weight is ", weight.dtype()));
  if (groups < 1) throw ValueError(str(op, ": groups is ", groups, ", expected >= 1"));
  if (x.dim(1) % groups != 0 || x.dim(1) / groups != weight.dim(1))
    throw ShapeError(str(op, ": x ", x.shape(), " has ", x.dim(1), " channels, weight ",
                         weight.shape(), " with groups = ", groups, " reads ", weight.dim(1),
                         " in each group"));
  if (weight.dim(0) % groups != 0)
    throw ShapeError(str(op, ": groups = ", groups, " does not divide the ", weight.dim(0),
                         " output channels of weight ", weight.shape()));
  require_vector(op, "bias", bias, weight.dim(0), x.dtype());
}

// The shape with leading spatial sizes of 1, so that there are three.
Shape with_three_axes(const Shape& s) {
  Shape out{s[0], s[1]};
  for (int i = s.rank(); i < 5; ++i) out.push_back(1);
  for (int i = 2; i < s.rank(); ++i) out.push_back(s[i]);
  return out;
}

Tensor convolution(const char* op, int axes, const Tensor& x, const Tensor& weight,
                   const Tensor& bias, const ConvOptions& options) {
  check_operands(op, axes, x, weight, bias, options.groups);
  Convolved c;
  c.geometry.groups = options.groups;
  const Shape stride = per_axis(op, "stride", options.stride, axes);
  const Shape padding = per_axis(op, "padding", options.padding, axes);
  const Shape dilation = per_axis(op, "dilation", options.dilation, axes);
  c.x = with_three_axes(x.shape());
  c.weight = with_three_axes(weight.shape());
  c.out = Shape::filled(5, 1);
  Shape shape = {x.dim(0), weight.dim(0)};
  c.out[0] = shape[0], c.out[1] = shape[1];
  int64_t map = 1;
  for (int i = 0; i < axes; ++i) {
    const int at = 3 - axes + i;  // of depth, height and width
    const SpatialAxis axis{x.dim(2 + i), weight.dim(2 + i), stride[i], padding[i], dilation[i]};
    if (axis.kernel < 1)
      throw ShapeError(str(op, ": weight ", weight.shape(), " has a kernel of size 0"));
    axis.check(op);
    if (axis.extent() > axis.padded())
      throw ShapeError(str(op, ": the kernel covers ", axis.extent(),
                           ", more than the padded input's ", axis.padded(), ": x ", x.shape(),
                           ", weight ", weight.shape()));
    c.geometry.stride[at] = axis.stride;
    c.geometry.padding[at] = axis.padding;
    c.geometry.dilation[at] = axis.dilation;
    c.out[2 + at] = (axis.padded() - axis.extent()) / axis.stride + 1;
    shape.push_back(c.out[2 + at]);
    if (at == 0) continue;
    if (axis.padded() > std::numeric_limits<int32_t>::max() / map)
      throw ShapeError(str(op, ": x ", x.shape(), " with padding ", options.padding,
                           " has maps of more than 2^31 - 1 elements"));
    map *= axis.padded();
  }
  if (axes == 3) return apply(Conv{c}, x, weight, bias);
  return reshape(apply(Conv{c}, reshape(x, c.x), reshape(weight, c.weight), bias), shape);
}

}  // namespace

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const ConvOptions& options) {
  return convolution("conv1d", 1, x, weight, bias, options);
}

Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const ConvOptions& options) {
  return convolution("conv2d", 2, x, weight, bias, options);
}

Tensor conv3d(const Tensor& x, const Tensor& weight, const Tensor& bias,
              const ConvOptions& options) {
  return convolution("conv3d", 3, x, weight, bias, options);
}

}  // namespace heed
