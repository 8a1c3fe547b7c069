// The checks of anomaly mode, which throw a NumericError at the first value that is not finite.
//
// NaN and +inf are errors wherever they appear. -inf is an error only if the op's inputs had none,
// since scores are masked with it, and if the op does not declare that it may produce it
// (`minus_inf`, bits as in `saves`). A gradient has to be finite. For autograd/ alone.
#pragma once

#include <span>

#include <heed/autograd/node.h>

namespace heed::detail {

void check_outputs(const char* op, const Tensor* const* inputs, int count,
                   std::span<const Array> outputs, unsigned minus_inf);
void check_gradient(const Node& node, int input, const Tensor& gradient);

}  // namespace heed::detail
