// Matrix products.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// [.., M, K] x [.., K, N] -> [.., M, N]; batch axes broadcast; transposed operands cost no copy.
// Rank 1 operands count as a row (left) or column (right), whose axis is dropped from the result.
Tensor matmul(const Tensor& a, const Tensor& b);

// x W^T + b: x [.., in], W [out, in] (PyTorch's layout), b [out] or undefined -> [.., out].
Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = Tensor());

}  // namespace heed
