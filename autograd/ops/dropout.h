// Dropout (Srivastava et al. 2014), inverted: kept elements are scaled by 1 / (1 - p). Element i is
// dropped where uniform(key, i) < p, so the mask is never stored: backward computes it again.
#pragma once

#include <heed/autograd/tensor.h>
#include <heed/core/random.h>

namespace heed {

// 0 <= p <= 1; p = 1 gives zeros. Without a key, the default generator gives one.
Tensor dropout(const Tensor& x, double p, RandomKey key);
Tensor dropout(const Tensor& x, double p);

// Fused: residual + dropout(x), and dropout(activation(x)): one pass over memory.
Tensor dropout_add(const Tensor& x, const Tensor& residual, double p, RandomKey key);
Tensor relu_dropout(const Tensor& x, double p, RandomKey key);

// 1 / (1 - p) where kept, 0 where dropped; the mask that the functions above apply.
Tensor dropout_mask(const Shape& shape, double p, RandomKey key, const TensorOptions& options = {});
Tensor dropout_mask(const Shape& shape, double p, RandomKey key, DType dtype);

}  // namespace heed
