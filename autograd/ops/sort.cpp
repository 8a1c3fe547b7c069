// topk and sort: a kernel finds the places, `gather` takes the values, so gradients are gather's.
#include <heed/autograd/ops/index.h>
#include <heed/autograd/tape.h>
#include <heed/backends/sort.h>

namespace heed {

static Selected select_sorted(const char* op, const Tensor& x, int64_t k, int axis,
                              bool descending) {
  if (x.dtype() == DType::f16) refuse_dtype(op, x.dtype());
  OpName scope(op);
  Shape shape = x.shape();
  shape[axis] = k;
  Array index = Array::empty(shape, DType::i64);
  kernels::sort_indices(x.array(), axis, descending, index);
  Selected out;
  out.indices = Tensor(std::move(index));
  out.values = gather(x, axis, out.indices);
  return out;
}

Selected topk(const Tensor& x, int64_t k, int axis) {
  axis = normalize_axis(axis, x.rank(), "topk");
  if (k < 0 || k > x.shape()[axis])
    throw ValueError(str("topk: k = ", k, " is outside [0, ", x.shape()[axis],
                         "], the size of axis ", axis, " of ", x.shape()));
  return select_sorted("topk", x, k, axis, true);
}

Selected sort(const Tensor& x, int axis, bool descending) {
  axis = normalize_axis(axis, x.rank(), "sort");
  return select_sorted("sort", x, x.shape()[axis], axis, descending);
}

}  // namespace heed
