#include <heed/autograd/ops/resample.h>

#include <heed/autograd/ops/operand.h>
#include <heed/backends/resample.h>

namespace heed {

Array Resample::forward(Inputs in) {
  const Array& x = in[0];
  Array out = x.new_empty(to);
  auto on = [&](const Windows& axis) { return axis.on(x.device(), x.dtype(), true); };
  kernels::resample(packed(x), on(axes[0]), on(axes[1]), on(axes[2]), out);
  return out;
}

}  // namespace heed
