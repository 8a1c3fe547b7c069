#include <heed/autograd/ops/gather.h>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>
#include <heed/backends/index.h>

namespace heed {

namespace {

struct Gather {
  static constexpr const char* name = "gather";
  static constexpr unsigned saves = 2;
  int axis;
  Array forward(Inputs in) {
    Array out = in[0].new_empty(in[1].shape());
    kernels::gather(packed(in[0]), axis, in[1], out);
    return out;
  }
  void vjp(Vjp& v) { gather_vjp(v, axis, v.input(1)); }
};

struct ScatterAdd {
  static constexpr const char* name = "scatter_add";
  static constexpr unsigned saves = 2;
  int axis;
  Array forward(Inputs in) {
    Array out = in[0].new_empty(in[0].shape());
    kernels::copy(in[0], out);
    kernels::scatter_add(out, axis, in[1], packed(in[2]));
    return out;
  }
  void vjp(Vjp& v) {
    v.add(0, v.cotangent());
    if (v.needs(2)) v.add(2, gather(v.cotangent(), axis, v.input(1)));
  }
};

// All sizes but that of `axis` are equal.
void require_matching(const char* op, const Shape& x, const Shape& index, int axis) {
  bool fits = x.rank() == index.rank();
  for (int i = 0; fits && i < x.rank(); ++i) fits = i == axis || x[i] == index[i];
  if (!fits)
    throw ShapeError(
        str(op, ": index ", index, " and tensor ", x, " may differ in axis ", axis, " alone"));
}

}  // namespace

Tensor gather(const Tensor& x, int axis, const Tensor& index) {
  axis = normalize_axis(axis, x.rank(), "gather");
  require_matching("gather", x.shape(), index.shape(), axis);
  return apply(Gather{axis}, x, checked_index("gather", index, x.shape()[axis]));
}

Tensor scatter_add(const Tensor& x, int axis, const Tensor& index, const Tensor& source) {
  axis = normalize_axis(axis, x.rank(), "scatter_add");
  if (!is_number(x.dtype())) refuse_dtype("scatter_add", x.dtype(), "f32, f64, bf16, i32 or i64");
  require_matching("scatter_add", x.shape(), index.shape(), axis);
  if (!(source.shape() == index.shape()))
    throw ShapeError(
        str("scatter_add: source ", source.shape(), " and index ", index.shape(), " differ"));
  if (source.dtype() != x.dtype())
    throw DTypeError(str("scatter_add: source is ", source.dtype(), ", the tensor ", x.dtype()));
  return apply(ScatterAdd{axis}, x, checked_index("scatter_add", index, x.shape()[axis]), source);
}

void gather_vjp(Vjp& v, int axis, const Tensor& index) {
  if (!v.needs(0)) return;
  if (v.create_graph()) {
    v.add(0, scatter_add(v.cotangent().new_zeros(v.shape(0)), axis, index, v.cotangent()));
    return;
  }
  Vjp::Destination to = v.destination(0);
  if (!to.accumulate) kernels::fill(to.array, 0);
  kernels::scatter_add(to.array, axis, index.array(), packed(v.cotangent().array()));
  if (!to.accumulate) v.add(0, Tensor(std::move(to.array)));
}

}  // namespace heed
