#include <heed/nn/conv.h>

#include <cmath>

#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::nn {

Conv::Conv(int axes, int64_t in, int64_t out, const Shape& kernel, const ConvSettings& s)
    : axes_(axes), options_{s.stride, s.padding, s.dilation, s.groups} {
  const std::string name = str("Conv", axes, "d");
  if (in < 1 || out < 1 || s.groups < 1)
    throw ValueError(str(name, ": channels and groups must be positive, got in = ", in,
                         ", out = ", out, ", groups = ", s.groups));
  if (in % s.groups != 0 || out % s.groups != 0)
    throw ValueError(
        str(name, ": groups = ", s.groups, " must divide in = ", in, " and out = ", out));
  if (kernel.rank() != 1 && kernel.rank() != axes)
    throw ValueError(str(name, ": a kernel of one size or ", axes, " expected, got ", kernel));
  Shape shape{out, in / s.groups};
  for (int i = 0; i < axes; ++i) shape.push_back(kernel[kernel.rank() == 1 ? 0 : i]);
  for (int64_t size : kernel)
    if (size < 1) throw ValueError(str(name, ": kernel sizes must be positive, got ", kernel));
  weight = zeros(shape);
  const double bound = 1 / std::sqrt(static_cast<double>(init::fans(shape).in));
  init::uniform_(weight, -bound, bound);
  register_parameter("weight", weight);
  if (s.bias) {
    bias = zeros({out});
    init::uniform_(bias, -bound, bound);
  }
  register_parameter("bias", bias);
}

Tensor Conv::forward(const Tensor& x) const {
  auto scope = enter();
  if (axes_ == 1) return conv1d(x, weight, bias, options_);
  if (axes_ == 2) return conv2d(x, weight, bias, options_);
  return conv3d(x, weight, bias, options_);
}

std::string Conv::type_name() const {
  const Shape kernel(weight.shape().begin() + 2, axes_);
  std::string text = str("Conv", axes_, "d(", in(), ", ", out(), ", kernel ", kernel);
  auto add = [&](const char* what, const Shape& sizes, int64_t usual) {
    for (int64_t size : sizes)
      if (size != usual) return void(text += str(", ", what, " ", sizes));
  };
  add("stride", options_.stride, 1);
  add("padding", options_.padding, 0);
  add("dilation", options_.dilation, 1);
  if (options_.groups > 1) text += str(", groups ", options_.groups);
  return text + (bias.defined() ? ")" : ", no bias)");
}

}  // namespace heed::nn
