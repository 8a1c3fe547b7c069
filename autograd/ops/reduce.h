// Reductions. `axes` empty: over all. Sums accumulate in a wider type or pairwise.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

Tensor sum(const Tensor& x, const Shape& axes = {}, bool keepdim = false);
// NaN over zero elements.
Tensor mean(const Tensor& x, const Shape& axes = {}, bool keepdim = false);
// sum (x - mean)^2 / (n - correction), two passes. PyTorch's default is correction = 1.
Tensor var(const Tensor& x, const Shape& axes = {}, bool keepdim = false, double correction = 1);
// Along one axis. Lowest index wins ties and takes the gradient; NaN wins over numbers. An empty
// axis is a ShapeError.
Tensor max(const Tensor& x, int axis, bool keepdim = false);
Tensor min(const Tensor& x, int axis, bool keepdim = false);
Tensor argmax(const Tensor& x, int axis, bool keepdim = false);  // i64
Tensor argmin(const Tensor& x, int axis, bool keepdim = false);
// log sum exp(x), shifted by the maximum; -inf where all are -inf.
Tensor logsumexp(const Tensor& x, int axis, bool keepdim = false);
// Prefix sums: y_i = x_0 + .. + x_i along `axis`, kept in f64 (integers wrap around).
Tensor cumsum(const Tensor& x, int axis);

}  // namespace heed
