// The members of Tensor that call ops, or are ops themselves.
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/backends/copy.h>

namespace heed {

double Tensor::item() const {
  if (numel() != 1) throw ShapeError(str("item: one element expected, got shape ", shape()));
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  Array values = Array::empty(shape(), DType::f64, kCpu);
  kernels::copy(packed(array()).to(kCpu), values);
  return {values.data<double>(), values.data<double>() + values.numel()};
}

static void require_changeable(const Tensor& t, const char* op) {
  if (t.requires_grad() && grad_enabled())
    throw GradError(
        str(op, ": a tensor that requires a gradient is changed in place; use it under NoGrad"));
}

void Tensor::copy_(const Tensor& source) const {
  require_changeable(*this, "copy_");
  kernels::copy(packed(source.array()).to(device()).broadcast_to(shape()), array());
  array().storage().bump_version();
}

void Tensor::fill_(double value) const { copy_(new_full({}, value)); }

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
Tensor Tensor::to(Device d) const { return heed::to_device(*this, d); }
Tensor Tensor::clone() const { return heed::clone(*this); }

}  // namespace heed
