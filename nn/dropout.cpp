#include <heed/nn/dropout.h>

#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/core/error.h>
#include <heed/core/random.h>

namespace heed::nn {

Dropout::Dropout(double p) : p_(p) {
  if (!(p >= 0 && p <= 1)) throw ValueError(str("Dropout: p must be in [0, 1], got ", p));
}

Tensor Dropout::forward(const Tensor& x) const {
  return is_active() ? dropout(x, p_, default_generator().take(x.numel())) : x;
}

Tensor Dropout::forward_add(const Tensor& x, const Tensor& residual) const {
  if (!is_active()) return x + residual;
  return dropout_add(x, residual, p_, default_generator().take(x.numel()));
}

std::string Dropout::type_name() const { return str("Dropout(", p_, ")"); }

}  // namespace heed::nn
