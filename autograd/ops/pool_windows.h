// The windows of pooling ops, checked. Not for users.
#pragma once

#include <heed/autograd/ops/pool_options.h>
#include <heed/autograd/ops/windows.h>
#include <heed/autograd/tensor.h>

namespace heed {

// Those of `axes` axes, after x's [B, C]. `max`: without weights and with dilation; otherwise the
// weights of the mean.
std::vector<Windows> pool_windows(const char* op, const Tensor& x, int axes, const Shape& kernel,
                                  const PoolOptions& options, bool max);
std::vector<Windows> adaptive_windows(const char* op, const Tensor& x, int axes,
                                      const Shape& output_size, bool max);

}  // namespace heed
