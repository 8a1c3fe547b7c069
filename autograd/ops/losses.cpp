#include <heed/autograd/ops/losses.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/widen.h>
#include <heed/core/error.h>

namespace heed {

namespace {

void require_same_shape(const char* op, const Tensor& a, const Tensor& b) {
  if (!(a.shape() == b.shape()))
    throw ShapeError(str(op, ": prediction and target of one shape expected, got ", a.shape(),
                         " and ", b.shape()));
}

// max(log x, -100), gradient 0 below. Clamped before the logarithm: after it, 0 x inf would be NaN.
Tensor bounded_log(const Tensor& x) {
  Tensor tiny = less(x, 3.72e-44);  // exp(-100)
  return where(tiny, -100.0, log(where(tiny, 1.0, x)));
}

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::none) return losses;
  return reduction == Reduction::mean ? mean(losses) : sum(losses);
}

}  // namespace

Tensor mse_loss(const Tensor& prediction, const Tensor& target, Reduction reduction) {
  require_same_shape("mse_loss", prediction, target);
  return reduced(square(widened(prediction) - widened(target)), reduction);
}

// max(x, 0) + log(1 + exp(-|x|)) = softplus(x)
Tensor binary_cross_entropy_with_logits(const Tensor& x, const Tensor& t, Reduction reduction) {
  require_same_shape("binary_cross_entropy_with_logits", x, t);
  Tensor logits = widened(x), target = widened(t);
  return reduced(softplus(logits) - logits * target, reduction);
}

Tensor binary_cross_entropy(const Tensor& p, const Tensor& t, Reduction reduction) {
  require_same_shape("binary_cross_entropy", p, t);
  Tensor probability = widened(p), target = widened(t);
  Tensor log_p = bounded_log(probability), log_q = bounded_log(1.0 - probability);
  return reduced(-(target * log_p) - (1.0 - target) * log_q, reduction);
}

}  // namespace heed
