// The gradient of ops that take elements of their first input by index: gather, sort, topk. Not for
// users.
#pragma once

#include <heed/autograd/vjp.h>

namespace heed {

// Output 0 is input 0 at `index` (i64, in range) along `axis`.
void gather_vjp(Vjp& v, int axis, const Tensor& index);

}  // namespace heed
