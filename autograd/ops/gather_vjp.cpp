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
  Vjp::Slot slot = v.slot(0);
  if (!slot.accumulate) kernels::fill(slot.array, 0);
  kernels::scatter_add(slot.array, axis, index.array(), packed(v.cotangent().array()));
  if (!slot.accumulate) v.add(0, Tensor(std::move(slot.array)));
}

}  // namespace heed
