#include <heed/nn/loss.h>

namespace heed::nn {

Tensor CrossEntropyLoss::operator()(const Tensor& logits, const Tensor& target) const {
  return cross_entropy(logits, target, options);
}

Tensor CrossEntropyLoss::operator()(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const Tensor& target) const {
  return linear_cross_entropy(x, weight, bias, target, options);
}

Tensor MSELoss::operator()(const Tensor& prediction, const Tensor& target) const {
  return mse_loss(prediction, target, reduction);
}

Tensor BCEWithLogitsLoss::operator()(const Tensor& logits, const Tensor& target) const {
  return binary_cross_entropy_with_logits(logits, target, reduction);
}

}  // namespace heed::nn
