// Reads the likeliest next tokens of each row from the device: all that beam search takes from the
// model.
#pragma once

#include <cstdint>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed::models {

struct TokenScore {
  int64_t token = 0;
  double log_probability = 0;
};

// Of each row of logits [R, V] its k best tokens by log-probability, best first, ties by the lower
// id; fewer where fewer are allowed. forbidden[r], in rising order, are left out, but count in the
// sum that probabilities are divided by. Computed in f32. NumericError: logits that are not
// numbers.
std::vector<std::vector<TokenScore>> read_best_tokens(
    const Tensor& logits, int64_t k, const std::vector<std::vector<int64_t>>& forbidden);

}  // namespace heed::models
