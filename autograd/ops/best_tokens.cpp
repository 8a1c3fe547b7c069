#include <heed/autograd/ops/best_tokens.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/backends/best_tokens.h>
#include <heed/core/error.h>

namespace heed {

Tensor best_tokens(const Tensor& logits, int64_t k,
                   const std::vector<std::vector<int64_t>>& forbidden) {
  if (logits.rank() != 2)
    throw ShapeError(str("best_tokens: logits [R, V] expected, got ", logits.shape()));
  require_floating("best_tokens", logits.array());
  if (k < 0) throw ValueError(str("best_tokens: k is ", k, ", expected >= 0"));
  if (static_cast<int64_t>(forbidden.size()) != logits.dim(0))
    throw ShapeError(str("best_tokens: forbidden tokens of ", logits.dim(0), " rows expected, of ",
                         static_cast<int64_t>(forbidden.size()), " given"));
  NoGrad guard;
  Tensor values = logits.to(DType::f32).contiguous();  // [R, V]
  Tensor log_sum = logsumexp(values, 1).contiguous();  // [R]
  std::vector<int64_t> begin{0}, tokens;
  for (const std::vector<int64_t>& row : forbidden) {
    tokens.insert(tokens.end(), row.begin(), row.end());
    begin.push_back(static_cast<int64_t>(tokens.size()));
  }
  auto there = [&](const std::vector<int64_t>& x) {
    return Array::from(x, {static_cast<int64_t>(x.size())}).to(logits.device());
  };
  OpName scope("best_tokens");
  Array best = logits.array().new_empty({logits.dim(0), k, 2}, DType::f64);
  kernels::best_tokens(values.array(), log_sum.array(), there(begin), there(tokens), best);
  return Tensor(best);
}

}  // namespace heed
