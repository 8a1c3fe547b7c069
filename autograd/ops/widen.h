// The number type in which ops compute that are composed of several steps. Not for users.
#pragma once

#include <heed/autograd/ops/views.h>

namespace heed {

// x, in f32 if it is bf16, of which each step would round.
inline Tensor widened(const Tensor& x) { return cast(x, accumulate_dtype(x.dtype())); }

}  // namespace heed
