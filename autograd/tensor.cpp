#include <heed/autograd/tensor.h>

#include <ostream>

#include <heed/autograd/grad_mode.h>
#include <heed/backends/copy.h>
#include <heed/core/random.h>

namespace heed {

void Tensor::fail_undefined() {
  throw ValueError(
      "an undefined tensor has no value (made by Tensor(), or a gradient before backward)");
}

Tensor Tensor::from(std::initializer_list<float> values, const Shape& shape) {
  return Tensor(Array::from(values, shape));
}
Tensor Tensor::scalar(double value, DType dtype) { return full({}, value, dtype); }

double Tensor::item() const {
  if (numel() != 1) throw ShapeError(str("item: one element expected, got shape ", shape()));
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  Array values = Array::empty(shape(), DType::f64);
  kernels::copy(array(), values);
  return {values.data<double>(), values.data<double>() + values.numel()};
}

Tensor Tensor::detach() const { return Tensor(array()); }

static void require_changeable(const Tensor& t, const char* op) {
  if (t.requires_grad() && grad_enabled())
    throw GradError(
        str(op, ": a tensor that requires a gradient is changed in place; use it under NoGrad"));
}

void Tensor::copy_(const Tensor& source) const {
  require_changeable(*this, "copy_");
  kernels::copy(source.array().broadcast_to(shape()), array());
  array().storage().bump_version();
}

void Tensor::fill_(double value) const { copy_(Tensor(full({}, value, dtype()))); }

Tensor full(const Shape& shape, double value, DType dtype) {
  Array out = Array::empty(shape, dtype);
  kernels::fill(out, value);
  return Tensor(std::move(out));
}
Tensor zeros(const Shape& shape, DType dtype) { return Tensor(Array::zeros(shape, dtype)); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }

Tensor arange(int64_t count, DType dtype) {
  if (count < 0) throw ValueError(str("arange: count ", count, " is negative"));
  std::vector<int64_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = i;
  return Tensor::from(values, {count}).to(dtype);
}

Tensor eye(int64_t n, DType dtype) {
  Array out = Array::zeros({n, n}, dtype);
  Array diagonal = out.with({n}, {n + 1});
  kernels::fill(diagonal, 1);
  return Tensor(std::move(out));
}

Tensor rand(const Shape& shape, DType dtype) {
  return Tensor(random_uniform(shape, 0, 1, default_generator().take(shape.numel()), dtype));
}
Tensor randn(const Shape& shape, DType dtype) {
  return Tensor(random_normal(shape, 0, 1, default_generator().take(shape.numel()), dtype));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << to_string(tensor);
}

}  // namespace heed
