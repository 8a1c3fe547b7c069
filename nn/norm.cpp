#include <heed/nn/norm.h>

#include <heed/autograd/ops/group_norm.h>
#include <heed/autograd/ops/norm.h>
#include <heed/core/error.h>

namespace heed::nn {

static void require_width(int64_t width, const char* who) {
  if (width < 1) throw ValueError(str(who, ": the width must be positive, got ", width));
}

LayerNorm::LayerNorm(int64_t width, double eps, bool with_bias) : eps_(eps) {
  require_width(width, "LayerNorm");
  weight = ones({width});
  register_parameter("weight", weight);
  if (with_bias) bias = zeros({width});
  register_parameter("bias", bias);
}

Tensor LayerNorm::forward(const Tensor& x) const {
  auto scope = enter();
  return layer_norm(x, weight, bias, eps_);  // [.., D]
}

Tensor LayerNorm::forward_add(const Tensor& x, const Tensor& residual) const {
  auto scope = enter();
  return add_layer_norm(x, residual, weight, bias, eps_);  // [.., D]
}

std::string LayerNorm::type_name() const { return str("LayerNorm(", weight.dim(0), ")"); }

RMSNorm::RMSNorm(int64_t width, double eps) : eps_(eps) {
  require_width(width, "RMSNorm");
  weight = ones({width});
  register_parameter("weight", weight);
}

Tensor RMSNorm::forward(const Tensor& x) const {
  auto scope = enter();
  return rms_norm(x, weight, eps_);  // [.., D]
}

std::string RMSNorm::type_name() const { return str("RMSNorm(", weight.dim(0), ")"); }

GroupNorm::GroupNorm(int64_t groups, int64_t channels, double eps, bool affine)
    : groups_(groups), channels_(channels), eps_(eps) {
  if (groups < 1 || channels < 1 || channels % groups != 0)
    throw ValueError(
        str("GroupNorm: ", groups, " groups do not divide ", channels, " channels evenly"));
  if (affine) {
    weight = ones({channels});
    bias = zeros({channels});
  }
  register_parameter("weight", weight);
  register_parameter("bias", bias);
}

Tensor GroupNorm::forward(const Tensor& x) const {
  auto scope = enter();
  if (x.rank() < 2 || x.dim(1) != channels_)
    throw ShapeError(str("GroupNorm: x [B, ", channels_, ", ...] expected, got ", x.shape()));
  return group_norm(x, groups_, weight, bias, eps_);  // [B, C, ..]
}

std::string GroupNorm::type_name() const {
  return str("GroupNorm(", groups_, ", ", channels_, ")");
}

}  // namespace heed::nn
