// The likeliest tokens of each row of logits in one small tensor, which decoding reads back.
#pragma once

#include <cstdint>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

// logits [R, V], any floating dtype, computed in f32 -> f64 [R, k, 2]: the k best tokens of each
// row and their log-probabilities, best first, ties by the lower token. The token is -1 where fewer
// are allowed, the log-probability NaN where a row's logits are NaN or infinite. forbidden[r], in
// rising order, are left out, but count in the sum that probabilities are divided by. No gradient.
// ShapeError, DTypeError, ValueError (k < 0) if the operands do not fit.
Tensor best_tokens(const Tensor& logits, int64_t k,
                   const std::vector<std::vector<int64_t>>& forbidden);

}  // namespace heed
