#include <heed/autograd/ops/reduce.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/reduce.h>

namespace heed {

namespace {

constexpr double kInf = HUGE_VAL;

// The shapes that a reduction gives.
struct Reduced {
  Shape kept;     // size 1 in the reduced axes
  Shape dropped;  // without them
  int64_t count;  // elements per output
};

Reduced reduced(const Shape& shape, const Shape& axes, const char* op) {
  bool out[kMaxRank] = {};
  for (int64_t axis : axes) {
    int a = normalize_axis(axis, shape.rank(), op);
    if (out[a]) throw ShapeError(str(op, ": axis ", axis, " twice in ", axes, " for ", shape));
    out[a] = true;
  }
  Reduced r{shape, {}, 1};
  for (int i = 0; i < shape.rank(); ++i) {
    if (axes.rank() == 0 || out[i]) {
      r.kept[i] = 1;
      r.count *= shape[i];
    } else {
      r.dropped.push_back(shape[i]);
    }
  }
  return r;
}

struct Sum {
  static constexpr const char* name = "sum";
  static constexpr unsigned saves = 0;
  Shape kept, shape;
  Array forward(Inputs in) {
    if (!is_number(in[0].dtype()))
      refuse_dtype(name, in[0].dtype(), "f32, f64, bf16, i32, i64 or bool");
    Array out = in[0].new_empty(kept);
    kernels::sum(in[0], out);
    return out.view(shape);
  }
  void vjp(Vjp& v) { v.add(0, broadcast_to(reshape(v.cotangent(), kept), v.shape(0))); }
};

struct Cumsum {
  static constexpr const char* name = "cumsum";
  static constexpr unsigned saves = 0;
  int axis;
  bool reverse;
  Array forward(Inputs in) {
    if (!is_number(in[0].dtype())) refuse_dtype(name, in[0].dtype(), "f32, f64, bf16, i32 or i64");
    Array out = in[0].new_empty(in[0].shape());
    kernels::cumsum(packed(in[0]), axis, reverse, out);
    return out;
  }
  void vjp(Vjp& v) { v.add(0, apply(Cumsum{axis, !reverse}, v.cotangent())); }
};

struct ArgExtreme {
  static constexpr const char* name = "argmax";
  static constexpr unsigned saves = 0;
  int axis;
  bool largest;
  Array forward(Inputs in) {
    Shape shape = in[0].shape();
    shape[axis] = 1;
    Array out = in[0].new_empty(shape, DType::i64);
    kernels::arg_extreme(in[0], axis, largest, out);
    return out;
  }
  void vjp(Vjp&) {}
};

// The result keeps `axis` with size 1.
Tensor arg_extreme(const Tensor& x, int& axis, bool largest, const char* op) {
  axis = normalize_axis(axis, x.rank(), op);
  if (x.shape()[axis] == 0)
    throw ShapeError(str(op, ": axis ", axis, " of ", x.shape(), " is empty"));
  if (x.dtype() == DType::f16) refuse_dtype(op, x.dtype());
  return apply(ArgExtreme{axis, largest}, x.detach());
}

Tensor extreme(const Tensor& x, int axis, bool keepdim, bool largest, const char* op) {
  Tensor index = arg_extreme(x, axis, largest, op);
  Tensor out = gather(x, axis, index);
  return keepdim ? out : squeeze(out, axis);
}

}  // namespace

Tensor sum(const Tensor& x, const Shape& axes, bool keepdim) {
  Reduced r = reduced(x.shape(), axes, "sum");
  return apply(Sum{r.kept, keepdim ? r.kept : r.dropped},
               x.dtype() == DType::boolean ? cast(x, DType::i64) : x);
}

Tensor mean(const Tensor& x, const Shape& axes, bool keepdim) {
  require_floating("mean", x.array());
  Reduced r = reduced(x.shape(), axes, "mean");
  return cast(sum(widened(x), axes, keepdim) / static_cast<double>(r.count), x.dtype());
}

Tensor var(const Tensor& x, const Shape& axes, bool keepdim, double correction) {
  require_floating("var", x.array());
  Reduced r = reduced(x.shape(), axes, "var");
  Tensor wide = widened(x), distance = wide - mean(wide, axes, true);
  double degrees = std::max(0.0, static_cast<double>(r.count) - correction);
  return cast(sum(square(distance), axes, keepdim) / degrees, x.dtype());
}

Tensor max(const Tensor& x, int axis, bool keepdim) {
  return extreme(x, axis, keepdim, true, "max");
}
Tensor min(const Tensor& x, int axis, bool keepdim) {
  return extreme(x, axis, keepdim, false, "min");
}

Tensor argmax(const Tensor& x, int axis, bool keepdim) {
  Tensor index = arg_extreme(x, axis, true, "argmax");
  return keepdim ? index : squeeze(index, axis);
}
Tensor argmin(const Tensor& x, int axis, bool keepdim) {
  Tensor index = arg_extreme(x, axis, false, "argmin");
  return keepdim ? index : squeeze(index, axis);
}

// The shift is a constant, since its gradient cancels. Where all are -inf, shift and logarithm are
// replaced, so that neither value nor gradient becomes NaN.
Tensor logsumexp(const Tensor& operand, int axis, bool keepdim) {
  require_floating("logsumexp", operand.array());
  Tensor x = widened(operand);
  axis = normalize_axis(axis, x.rank(), "logsumexp");
  if (x.shape()[axis] == 0)
    throw ShapeError(str("logsumexp: axis ", axis, " of ", x.shape(), " is empty"));
  Tensor top = max(x.detach(), axis, true);
  Tensor empty = equal(top, -kInf);
  Tensor shift = where(logical_or(empty, equal(top, kInf)), 0.0, top);
  Tensor total = sum(exp(x - shift), {axis}, true);
  Tensor out = where(empty, -kInf, log(where(empty, 1.0, total)) + shift);
  return cast(keepdim ? out : squeeze(out, axis), operand.dtype());
}

Tensor cumsum(const Tensor& x, int axis) {
  return apply(Cumsum{normalize_axis(axis, x.rank(), "cumsum"), false}, x);
}

}  // namespace heed
