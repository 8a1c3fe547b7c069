// sum_to: the last step in the vjp of every broadcasting op.
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>

namespace heed {

Tensor sum_to(const Tensor& x, const Shape& shape) {
  if (shape == x.shape()) return x;
  if (!broadcastable_to(shape, x.shape()))
    throw ShapeError(str("sum_to: ", shape, " does not broadcast to ", x.shape()));
  int extra = x.rank() - shape.rank();
  Shape axes;
  for (int i = 0; i < x.rank(); ++i)
    if (i < extra || (shape[i - extra] == 1 && x.shape()[i] != 1)) axes.push_back(i);
  return reshape(axes.rank() > 0 ? sum(x, axes, true) : x, shape);
}

}  // namespace heed
