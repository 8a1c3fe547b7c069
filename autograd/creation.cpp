// Tensors made from a shape alone: filled with values, or with random numbers.
#include <heed/autograd/tensor.h>
#include <heed/backends/copy.h>
#include <heed/core/random.h>

namespace heed {
namespace {

Device device_of(const TensorOptions& o) { return o.device ? *o.device : default_device(); }
DType dtype_of(const TensorOptions& o) { return o.dtype ? *o.dtype : default_dtype(); }

Array filled(Array out, double value) {
  kernels::fill(out, value);
  return out;
}

Array identity(Array out) {  // zeros [n, n] with a diagonal of ones
  kernels::fill(out.with({out.dim(0)}, {out.dim(0) + 1}), 1);
  return out;
}

}  // namespace

Tensor Tensor::from_array(const Array& values, const TensorOptions& options) {
  Tensor there(values.to(device_of(options)));
  return options.dtype ? there.to(*options.dtype) : there;
}
Tensor Tensor::from(std::initializer_list<float> values, const Shape& shape,
                    const TensorOptions& options) {
  return from_array(Array::from(values, shape),
                    {.dtype = dtype_of(options), .device = options.device});
}
Tensor Tensor::scalar(double value, const TensorOptions& options) {
  return full({}, value, options);
}
Tensor Tensor::new_full(const Shape& shape, double value) const {
  return Tensor(filled(array().new_empty(shape), value));
}
Tensor Tensor::new_full(const Shape& shape, double value, DType dtype) const {
  return Tensor(filled(array().new_empty(shape, dtype), value));
}
Tensor Tensor::new_eye(int64_t n) const { return Tensor(identity(array().new_zeros({n, n}))); }

Tensor zeros(const Shape& shape, const TensorOptions& options) {
  return Tensor(Array::zeros(shape, dtype_of(options), device_of(options)));
}
Tensor full(const Shape& shape, double value, const TensorOptions& options) {
  return Tensor(filled(Array::empty(shape, dtype_of(options), device_of(options)), value));
}
Tensor ones(const Shape& shape, const TensorOptions& options) { return full(shape, 1, options); }

Tensor arange(int64_t count, const TensorOptions& options) {
  if (count < 0) throw ValueError(str("arange: count ", count, " is negative"));
  std::vector<int64_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = i;
  return Tensor::from(values, {count}, options);
}

Tensor eye(int64_t n, const TensorOptions& options) {
  return Tensor(identity(Array::zeros({n, n}, dtype_of(options), device_of(options))));
}

Tensor rand(const Shape& shape, const TensorOptions& options) {
  RandomKey key = default_generator().take(shape.numel());
  return Tensor(random_uniform(shape, 0, 1, key, dtype_of(options)).to(device_of(options)));
}
Tensor randn(const Shape& shape, const TensorOptions& options) {
  RandomKey key = default_generator().take(shape.numel());
  return Tensor(random_normal(shape, 0, 1, key, dtype_of(options)).to(device_of(options)));
}

Tensor zeros(const Shape& s, DType dtype) { return zeros(s, {.dtype = dtype}); }
Tensor ones(const Shape& s, DType dtype) { return ones(s, {.dtype = dtype}); }
Tensor full(const Shape& s, double value, DType dtype) { return full(s, value, {.dtype = dtype}); }
Tensor arange(int64_t count, DType dtype) { return arange(count, {.dtype = dtype}); }
Tensor eye(int64_t n, DType dtype) { return eye(n, {.dtype = dtype}); }
Tensor rand(const Shape& s, DType dtype) { return rand(s, {.dtype = dtype}); }
Tensor randn(const Shape& s, DType dtype) { return randn(s, {.dtype = dtype}); }

}  // namespace heed
