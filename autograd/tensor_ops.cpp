// The members of Tensor that are ops too.
#include <heed/autograd/ops/views.h>

namespace heed {

Tensor Tensor::reshape(const Shape& s) const { return heed::reshape(*this, s); }
Tensor Tensor::permute(const Shape& order) const { return heed::permute(*this, order); }
Tensor Tensor::transpose(int a, int b) const { return heed::transpose(*this, a, b); }
Tensor Tensor::slice(int axis, int64_t begin, int64_t end, int64_t step) const {
  return heed::slice(*this, axis, begin, end, step);
}
Tensor Tensor::operator[](int64_t index) const { return heed::select(*this, 0, index); }
Tensor Tensor::squeeze(int axis) const { return heed::squeeze(*this, axis); }
Tensor Tensor::unsqueeze(int axis) const { return heed::unsqueeze(*this, axis); }
Tensor Tensor::contiguous() const { return heed::contiguous(*this); }
Tensor Tensor::to(DType d) const { return heed::cast(*this, d); }
Tensor Tensor::clone() const { return heed::clone(*this); }

}  // namespace heed
