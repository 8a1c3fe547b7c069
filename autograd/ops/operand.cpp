#include <heed/autograd/ops/operand.h>

#include <heed/backends/copy.h>

namespace heed {

Array packed(const Array& x) {
  if (x.is_contiguous()) return x;
  Array out = x.new_empty(x.shape());
  kernels::copy(x, out);
  return out;
}

Array packed(const Tensor& x) { return x.defined() ? packed(x.array()) : Array(); }

void require_floating(const char* op, const Array& x) {
  if (!is_differentiable(x.dtype())) refuse_dtype(op, x.dtype());
}

void require_vector(const char* op, const char* what, const Tensor& vector, int64_t size,
                    DType dtype) {
  if (!vector.defined()) return;
  if (vector.dtype() != dtype)
    throw DTypeError(str(op, ": ", what, " is ", vector.dtype(), ", x is ", dtype));
  if (!(vector.shape() == Shape{size}))
    throw ShapeError(str(op, ": ", what, " of shape [", size, "] expected, got ", vector.shape()));
}

}  // namespace heed
