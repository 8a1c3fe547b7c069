#include <heed/nn/linear.h>

#include <cmath>

#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::nn {

Linear::Linear(int64_t in, int64_t out, bool with_bias) {
  if (in < 1 || out < 1)
    throw ValueError(str("Linear: widths must be positive, got in = ", in, ", out = ", out));
  double bound = 1 / std::sqrt(static_cast<double>(in));
  weight = zeros({out, in});
  init::uniform_(weight, -bound, bound);
  register_parameter("weight", weight);
  if (with_bias) {
    bias = zeros({out});
    init::uniform_(bias, -bound, bound);
  }
  register_parameter("bias", bias);
}

Tensor Linear::forward(const Tensor& x) const {
  auto scope = enter();
  return linear(x, weight, bias);  // [.., out]
}

std::string Linear::type_name() const {
  return str("Linear(", in(), ", ", out(), bias.defined() ? ")" : ", no bias)");
}

}  // namespace heed::nn
