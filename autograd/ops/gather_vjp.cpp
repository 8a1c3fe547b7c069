#include <heed/autograd/ops/gather_vjp.h>

#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/operand.h>
#include <heed/backends/copy.h>
#include <heed/backends/index.h>

namespace heed {

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
