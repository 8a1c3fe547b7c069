// topk and sort: one op with two outputs, the values and their indices.
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/index.h>
#include <heed/backends/sort.h>

namespace heed {

namespace {

template <bool kTop>
struct Sort {
  static constexpr const char* name = kTop ? "topk" : "sort";
  static constexpr unsigned saves = output_bit(1);
  int64_t k;
  int axis;
  bool descending;

  std::array<Array, 2> forward(Inputs in) {
    const Array& x = in[0];
    if (x.dtype() == DType::f16) refuse_dtype(name, x.dtype());
    Shape shape = x.shape();
    shape[axis] = k;
    Array values = x.new_empty(shape), indices = x.new_empty(shape, DType::i64);
    kernels::sort_indices(x, axis, descending, indices);
    kernels::gather(packed(x), axis, indices, values);
    return {values, indices};
  }
  void vjp(Vjp& v) { gather_vjp(v, axis, v.output(1)); }
};

}  // namespace

Selected topk(const Tensor& x, int64_t k, int axis) {
  axis = normalize_axis(axis, x.rank(), "topk");
  if (k < 0 || k > x.shape()[axis])
    throw ValueError(str("topk: k = ", k, " is outside [0, ", x.shape()[axis],
                         "], the size of axis ", axis, " of ", x.shape()));
  auto [values, indices] = apply(Sort<true>{k, axis, true}, x);
  return {values, indices};
}

Selected sort(const Tensor& x, int axis, bool descending) {
  axis = normalize_axis(axis, x.rank(), "sort");
  auto [values, indices] = apply(Sort<false>{x.shape()[axis], axis, descending}, x);
  return {values, indices};
}

}  // namespace heed
