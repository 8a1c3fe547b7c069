#include <heed/models/read_best_tokens.h>

#include <cmath>

#include <heed/autograd/ops/best_tokens.h>
#include <heed/core/error.h>

namespace heed::models {

std::vector<std::vector<TokenScore>> read_best_tokens(
    const Tensor& logits, int64_t k, const std::vector<std::vector<int64_t>>& forbidden) {
  std::vector<double> read = heed::best_tokens(logits, k, forbidden).to_vector();  // [R, k, 2]
  std::vector<std::vector<TokenScore>> best(static_cast<size_t>(logits.dim(0)));
  for (size_t i = 0; i < read.size(); i += 2) {
    if (std::isnan(read[i + 1]))
      throw NumericError("read_best_tokens: the model's scores are not numbers");
    if (read[i] >= 0)
      best[i / 2 / static_cast<size_t>(k)].push_back({static_cast<int64_t>(read[i]), read[i + 1]});
  }
  return best;
}

}  // namespace heed::models
