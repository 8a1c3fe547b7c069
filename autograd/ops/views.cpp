#include <heed/autograd/ops/views.h>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>

namespace heed {

namespace {

Array copy_of(const Array& x, DType dtype) {
  Array out = x.new_empty(x.shape(), dtype);
  kernels::copy(x, out);
  return out;
}

struct Reshape {
  static constexpr const char* name = "reshape";
  static constexpr unsigned saves = 0;
  Shape shape;
  Array forward(Inputs in) {
    return in[0].can_view(shape) ? in[0].view(shape) : copy_of(in[0], in[0].dtype()).view(shape);
  }
  void vjp(Vjp& v) { v.add(0, reshape(v.cotangent(), v.shape(0))); }
};

struct Permute {
  static constexpr const char* name = "permute";
  static constexpr unsigned saves = 0;
  Shape order;
  Array forward(Inputs in) {
    Array out = in[0].permute(order);
    for (int i = 0; i < order.rank(); ++i) order[i] = normalize_axis(order[i], order.rank(), name);
    return out;
  }
  void vjp(Vjp& v) {
    Shape inverse = order;
    for (int i = 0; i < order.rank(); ++i) inverse[static_cast<int>(order[i])] = i;
    v.add(0, permute(v.cotangent(), inverse));
  }
};

struct Transpose {
  static constexpr const char* name = "transpose";
  static constexpr unsigned saves = 0;
  int a, b;
  Array forward(Inputs in) { return in[0].transpose(a, b); }
  void vjp(Vjp& v) { v.add(0, transpose(v.cotangent(), a, b)); }
};

struct Squeeze {
  static constexpr const char* name = "squeeze";
  static constexpr unsigned saves = 0;
  int axis;
  Array forward(Inputs in) { return in[0].squeeze(axis); }
  void vjp(Vjp& v) { v.add(0, reshape(v.cotangent(), v.shape(0))); }
};

struct Unsqueeze {
  static constexpr const char* name = "unsqueeze";
  static constexpr unsigned saves = 0;
  int axis;
  Array forward(Inputs in) { return in[0].unsqueeze(axis); }
  void vjp(Vjp& v) { v.add(0, reshape(v.cotangent(), v.shape(0))); }
};

struct Flip {
  static constexpr const char* name = "flip";
  static constexpr unsigned saves = 0;
  int axis;
  // A copy, since kernels need not support negative strides.
  Array forward(Inputs in) {
    const Array& x = in[0];
    Strides strides = x.strides();
    int64_t last = x.shape()[axis] > 0 ? (x.shape()[axis] - 1) * strides[axis] : 0;
    strides[axis] = -strides[axis];
    return copy_of(x.with(x.shape(), strides, last), x.dtype());
  }
  void vjp(Vjp& v) { v.add(0, flip(v.cotangent(), axis)); }
};

struct Clone {
  static constexpr const char* name = "clone";
  static constexpr unsigned saves = 0;
  Array forward(Inputs in) { return copy_of(in[0], in[0].dtype()); }
  void vjp(Vjp& v) { v.add(0, v.cotangent()); }
};

struct Cast {
  static constexpr const char* name = "cast";
  static constexpr unsigned saves = 0;
  DType dtype;
  Array forward(Inputs in) { return copy_of(in[0], dtype); }
  void vjp(Vjp& v) { v.add(0, cast(v.cotangent(), v.dtype(0))); }
};

struct ToDevice {
  static constexpr const char* name = "to";
  static constexpr unsigned saves = 0;
  Device target, source;
  Array forward(Inputs in) { return packed(in[0]).to(target); }
  void vjp(Vjp& v) { v.add(0, to_device(v.cotangent(), source)); }
};

}  // namespace

Tensor reshape(const Tensor& x, const Shape& shape) {
  if (shape == x.shape()) return x;
  Shape full = shape;
  int64_t known = 1;
  int open = -1;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] == -1 && open >= 0)
      throw ShapeError(str("reshape: two sizes of ", shape, " are -1"));
    if (shape[i] < -1) throw ShapeError(str("reshape: negative size in ", shape));
    if (shape[i] == -1) open = i;
    else known *= shape[i];
  }
  if (open >= 0 && known > 0) full[open] = x.numel() / known;
  if ((open >= 0 && known == 0) || full.numel() != x.numel())
    throw ShapeError(
        str("reshape: ", x.shape(), " (", x.numel(), " elements) does not fit ", shape));
  return apply(Reshape{full}, x);
}

Tensor permute(const Tensor& x, const Shape& order) { return apply(Permute{order}, x); }
Tensor transpose(const Tensor& x, int a, int b) { return apply(Transpose{a, b}, x); }

Tensor squeeze(const Tensor& x, int axis) { return apply(Squeeze{axis}, x); }
Tensor unsqueeze(const Tensor& x, int axis) { return apply(Unsqueeze{axis}, x); }
Tensor flip(const Tensor& x, int axis) {
  return apply(Flip{normalize_axis(axis, x.rank(), "flip")}, x);
}
Tensor clone(const Tensor& x) { return apply(Clone{}, x); }
Tensor contiguous(const Tensor& x) { return x.array().is_contiguous() ? x : apply(Clone{}, x); }
Tensor to_device(const Tensor& x, Device device) {
  return device == x.device() ? x : apply(ToDevice{device, x.device()}, x);
}
Tensor cast(const Tensor& x, DType dtype) { return dtype == x.dtype() ? x : apply(Cast{dtype}, x); }

}  // namespace heed
