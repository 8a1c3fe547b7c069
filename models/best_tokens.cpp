#include <heed/models/best_tokens.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/ops/reduce.h>
#include <heed/core/error.h>
#include <heed/core/parallel.h>

namespace heed::models {

std::vector<std::vector<TokenScore>> best_tokens(
    const Tensor& logits, int64_t k, const std::vector<std::vector<int64_t>>& forbidden) {
  int64_t rows = logits.dim(0), vocab = logits.dim(1);
  Tensor values = logits.to(DType::f32).contiguous();  // [R, V]
  Tensor total = logsumexp(values, 1).contiguous();    // [R]
  const float* x = values.array().data<float>();
  const float* norm = total.array().data<float>();
  for (int64_t r = 0; r < rows; ++r)
    if (!(norm[r] < std::numeric_limits<float>::infinity()))
      throw NumericError("best_tokens: the model's scores are not numbers");
  std::vector<std::vector<TokenScore>> best(static_cast<size_t>(rows));
  parallel_for(rows, 1 + 16384 / vocab, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      auto& list = best[static_cast<size_t>(r)];
      const auto& never = forbidden[static_cast<size_t>(r)];
      float threshold = -std::numeric_limits<float>::infinity();
      for (int64_t v = 0; v < vocab; ++v) {
        float value = x[r * vocab + v];
        if (!(value > threshold) || std::binary_search(never.begin(), never.end(), v)) continue;
        auto at = std::find_if(list.begin(), list.end(),
                               [&](const TokenScore& t) { return value > t.log_probability; });
        list.insert(at, {v, value});
        if (static_cast<int64_t>(list.size()) > k) list.pop_back();
        if (static_cast<int64_t>(list.size()) == k)
          threshold = static_cast<float>(list.back().log_probability);
      }
      for (TokenScore& t : list) t.log_probability -= norm[r];
    }
  });
  return best;
}

}  // namespace heed::models
