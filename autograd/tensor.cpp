#include <heed/autograd/tensor.h>

#include <ostream>

namespace heed {

void Tensor::fail_undefined() {
  throw ValueError(
      "an undefined tensor has no value (made by Tensor(), or a gradient before backward)");
}

Tensor Tensor::detach() const { return Tensor(array()); }

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << to_string(tensor);
}

}  // namespace heed
