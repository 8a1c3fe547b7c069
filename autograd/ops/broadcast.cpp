#include <heed/autograd/ops/broadcast.h>

#include <heed/autograd/tape.h>
#include <heed/backends/reduce.h>

namespace heed {

namespace {

struct BroadcastTo {
  static constexpr const char* name = "broadcast_to";
  static constexpr unsigned saves = 0;
  Shape shape;
  Array forward(Inputs in) { return in[0].broadcast_to(shape); }
  void vjp(Vjp& v) { v.add(0, sum_to(v.cotangent(), v.shape(0))); }
};

struct SumTo {
  static constexpr const char* name = "sum_to";
  static constexpr unsigned saves = 0;
  Shape shape;
  Array forward(Inputs in) {
    if (!is_number(in[0].dtype())) refuse_dtype(name, in[0].dtype(), "f32, f64, bf16, i32 or i64");
    Shape kept = Shape::filled(in[0].rank(), 1);  // `shape` with x's rank
    for (int i = in[0].rank() - shape.rank(), k = 0; i < in[0].rank(); ++i) kept[i] = shape[k++];
    Array out = in[0].new_empty(kept);
    kernels::sum(in[0], out);
    return out.view(shape);
  }
  void vjp(Vjp& v) { v.add(0, broadcast_to(v.cotangent(), v.shape(0))); }
};

}  // namespace

Tensor broadcast_to(const Tensor& x, const Shape& shape) {
  return shape == x.shape() ? x : apply(BroadcastTo{shape}, x);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (shape == x.shape()) return x;
  if (!broadcastable_to(shape, x.shape()))
    throw ShapeError(str("sum_to: ", shape, " does not broadcast to ", x.shape()));
  return apply(SumTo{shape}, x);
}

}  // namespace heed
