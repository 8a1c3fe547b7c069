#include <heed/nn/feed_forward.h>

#include <heed/autograd/ops/dropout.h>
#include <heed/core/error.h>
#include <heed/core/random.h>

namespace heed::nn {

FeedForward::FeedForward(int64_t width, int64_t hidden, const std::string& activation_name,
                         double dropout, bool bias)
    : linear1(width, hidden, bias),
      linear2(hidden, width, bias),
      dropout_(dropout),
      activation_name_(activation_name),
      activation_(activation(activation_name)) {
  if (!(dropout >= 0 && dropout <= 1))
    throw ValueError(str("FeedForward: dropout must be in [0, 1], got ", dropout));
  register_module("linear1", linear1);
  register_module("linear2", linear2);
}

Tensor FeedForward::forward(const Tensor& x) const {
  auto scope = enter();
  Tensor h = linear1.forward(x);  // [.., hidden]
  if (!is_training() || dropout_ == 0) return linear2.forward(activation_(h));
  RandomKey key = default_generator().take(h.numel());
  if (activation_name_ == "relu") h = relu_dropout(h, dropout_, key);  // [.., hidden]
  else h = dropout(activation_(h), dropout_, key);                     // [.., hidden]
  return linear2.forward(h);                                           // [.., width]
}

std::string FeedForward::type_name() const {
  return str("FeedForward(", activation_name_, dropout_ > 0 ? str(", dropout ", dropout_) : "",
             ")");
}

}  // namespace heed::nn
