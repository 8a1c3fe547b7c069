// Derivatives against central differences, in float64, for a fixed random cotangent c (never the
// sum of the output, whose gradient is zero for softmax and layer norm):
//
//   d/dx <c, f(x)>  =~  (<c, f(x + h e)> - <c, f(x - h e)>) / 2h
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

using CheckedFunction = std::function<Tensor(const std::vector<Tensor>&)>;

struct GradcheckOptions {
  double step = 1e-6;  // h, relative to max(1, |x|)
  double absolute = 1e-5;
  double relative = 1e-3;
  uint64_t seed = 1;
};

struct GradcheckResult {
  bool passed = true;
  double worst = 0;     // largest |analytic - numeric| / (absolute + relative |numeric|)
  int64_t checked = 0;  // partial derivatives compared
  std::string message;  // names input, element and both values of the worst failure
  explicit operator bool() const { return passed && checked > 0; }
};

// Every input that requires a gradient, all f64 (DTypeError otherwise).
GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options = {});
// The same for the gradient as a function of inputs and cotangent: second derivatives.
GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options = {});

}  // namespace heed
