// The likeliest tokens of each row of logits, as decoding reads them back: in one small tensor.
#pragma once

#include <cstdint>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

// logits [R, V], any floating dtype, computed in f32 -> f64 [R, k, 2]: the k best tokens of each
// row and their log-probabilities, best first, ties by the lower token; token -1 where fewer are
// allowed, log-probability NaN where the logits of a row are not numbers. forbidden[r], in rising
// order, are left out, but count in the sum that probabilities are divided by. No gradient.
// ShapeError, DTypeError, ValueError (k < 0) where the operands do not fit.
Tensor best_tokens(const Tensor& logits, int64_t k,
                   const std::vector<std::vector<int64_t>>& forbidden);

}  // namespace heed
