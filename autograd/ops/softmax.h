// softmax(x)_i = exp(x_i - m) / sum_j exp(x_j - m), m = max x, along one axis. A row of nothing but
// -inf gives zeros, not NaN.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

Tensor softmax(const Tensor& x, int axis);
Tensor log_softmax(const Tensor& x, int axis);  // x - logsumexp(x)

// The same, composed of primitives.
Tensor softmax_reference(const Tensor& x, int axis);
Tensor log_softmax_reference(const Tensor& x, int axis);

}  // namespace heed
