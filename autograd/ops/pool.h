// Pooling over the last one, two or three axes: x [B, C, L], [B, C, H, W] or [B, C, D, H, W], f32,
// f64 or bf16 (summed in f32) -> [B, C, ..]. Names and results are PyTorch's. A Shape of sizes has
// one for every axis pooled, or a single one for all of them:
//
//   Tensor y = max_pool2d(x, {3}, {.stride = {2}, .padding = {1}});  // as in ResNet
//   Tensor z = adaptive_avg_pool2d(y, {1});                          // [B, C, 1, 1], the mean
//
// ShapeError: x of another rank, a list of sizes of another length, no output left. ValueError:
// sizes out of range. DTypeError: other dtypes. Derivatives of any order.
#pragma once

#include <heed/autograd/ops/pool_options.h>
#include <heed/autograd/tensor.h>

namespace heed {

// The largest element of each window; padding is smaller than any. Out: floor((in + 2 padding -
// dilation (kernel - 1) - 1) / stride) + 1. The first of equal elements takes the gradient; NaN
// wins. At most 2^31 - 1 elements in each channel.
Tensor max_pool1d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
Tensor max_pool2d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
Tensor max_pool3d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
// The mean of each window; padding is 0.
Tensor avg_pool1d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
Tensor avg_pool2d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});
Tensor avg_pool3d(const Tensor& x, const Shape& kernel, const PoolOptions& options = {});

// Output o of `output_size` looks at the elements from floor(o in / out) up to, not including,
// ceil((o + 1) in / out).
Tensor adaptive_avg_pool1d(const Tensor& x, const Shape& output_size);
Tensor adaptive_avg_pool2d(const Tensor& x, const Shape& output_size);
Tensor adaptive_avg_pool3d(const Tensor& x, const Shape& output_size);
Tensor adaptive_max_pool1d(const Tensor& x, const Shape& output_size);
Tensor adaptive_max_pool2d(const Tensor& x, const Shape& output_size);
Tensor adaptive_max_pool3d(const Tensor& x, const Shape& output_size);

}  // namespace heed
