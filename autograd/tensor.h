// Tensor: the one type that users hold. It is a handle: copies are the same tensor. It is an Array
// and, if gradients are wanted, a place on the tape: a node and which of its outputs this is.
// Everything is computed at once (eager), and everything returned is owned.
//
//   Tensor x = Tensor::from({1, 2, 3}, {3}).set_requires_grad(true);
//   sum(x * x).backward();
//   std::cout << x.grad();        // Tensor([2, 4, 6], f32)
#pragma once

#include <initializer_list>
#include <iosfwd>
#include <optional>
#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed {

class Node;
class Tensor;

// What a creation function makes; members left out are the calling thread's defaults
// (core/device.h).
//
//   Tensor x = zeros({2, 3}, {.dtype = DType::f64, .device = gpu});
struct TensorOptions {
  std::optional<DType> dtype = {};
  std::optional<Device> device = {};
};

struct TensorImpl : RefCounted {
  int32_t output;             // its number among the node's outputs
  uint32_t replacements = 0;  // how often set_value gave it another value
  Array value;
  Ref<Node> node;  // empty: a constant
  TensorImpl(Array&& v, Ref<Node>&& n, int32_t k);
  ~TensorImpl();
};

// Members are defined in tensor.cpp (values), creation.cpp (new ones), tensor_gradient.cpp (the
// graph) and tensor_ops.cpp (members that are ops too).
class Tensor {
 public:
  Tensor() = default;  // undefined
  explicit Tensor(Array value);
  Tensor(Array value, Ref<Node> node, int output = 0);
  // A tensor of host values, of the dtype that `options` give; without one, a list in braces is of
  // the default dtype, a vector of its own.
  static Tensor from(std::initializer_list<float> values, const Shape& shape,
                     const TensorOptions& options = {});
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape,
                     const TensorOptions& options = {}) {
    return from_array(Array::from(values, shape), options);
  }
  static Tensor scalar(double value, const TensorOptions& options = {});
  static Tensor scalar(double value, DType dtype) { return scalar(value, {.dtype = dtype}); }
  // On this tensor's device and, unless a dtype is given, of its dtype: ops and layers create
  // tensors with these.
  Tensor new_full(const Shape& shape, double value) const;
  Tensor new_full(const Shape& shape, double value, DType dtype) const;
  Tensor new_zeros(const Shape& shape) const { return Tensor(array().new_zeros(shape)); }
  Tensor new_zeros(const Shape& shape, DType dtype) const {
    return Tensor(array().new_zeros(shape, dtype));
  }
  Tensor new_ones(const Shape& shape) const { return new_full(shape, 1); }
  Tensor new_eye(int64_t n) const;  // [n, n]

  bool defined() const { return static_cast<bool>(impl_); }
  const Array& array() const {  // ValueError on an undefined tensor, as all that asks for a value
    if (!impl_) [[unlikely]]
      fail_undefined();
    return impl_->value;
  }
  const Shape& shape() const { return array().shape(); }
  int rank() const { return array().rank(); }
  int64_t dim(int axis) const { return array().dim(axis); }
  int64_t numel() const { return array().numel(); }
  DType dtype() const { return array().dtype(); }
  Device device() const { return array().device(); }

  // The value of a tensor with one element; ShapeError otherwise. This and to_vector read back: on
  // a device they wait for the value.
  double item() const;
  std::vector<double> to_vector() const;  // row-major

  // Gradients. Only f32, f64 and bf16 can require one; it has the tensor's dtype.
  bool requires_grad() const { return impl_ && impl_->node; }
  bool is_leaf() const;                     // no op produced it, or none was recorded
  Tensor& set_requires_grad(bool on);       // leaves only
  Tensor grad() const;                      // of a leaf; undefined before backward
  void set_grad(const Tensor& grad) const;  // undefined clears it
  void zero_grad() const { set_grad(Tensor()); }
  // Adds d this / d leaf to the grad of each leaf. Without `cotangent`, one element is required.
  void backward(const Tensor& cotangent = Tensor(), bool retain_graph = false,
                bool create_graph = false) const;
  Tensor detach() const;  // same storage, a constant
  // Calls `hook(gradient)` when this tensor's gradient is complete; a defined result replaces it.
  // GradError in backward if that has another shape, dtype or device.
  void register_hook(Tensor (*hook)(const Tensor& grad, void* context), void* context) const;

  // In-place changes; not recorded, and refused on tensors of a graph unless under NoGrad.
  void copy_(const Tensor& source) const;  // broadcast and dtype conversion allowed
  void fill_(double value) const;
  // Gives this tensor (and all its handles) another value of the same shape; dtype and device may
  // change, hooks stay. As after any change in place, backward through a graph that was recorded
  // before is a GradError.
  void set_value(Array value) const;
  // Another number after each change of the value, by those above or by an optimizer.
  uint64_t version() const {
    return uint64_t{impl_->replacements} << 32 | array().storage().version();
  }

  // Shape and slicing (views, differentiable). Negative axes and indices count from the end.
  Tensor reshape(const Shape& shape) const;  // one size may be -1
  Tensor permute(const Shape& order) const;
  Tensor transpose(int axis_a, int axis_b) const;
  Tensor slice(int axis, int64_t begin, int64_t end, int64_t step = 1) const;
  Tensor operator[](int64_t index) const;  // along axis 0
  Tensor squeeze(int axis) const;
  Tensor unsqueeze(int axis) const;
  Tensor contiguous() const;
  Tensor to(DType dtype) const;  // differentiable among f32, f64 and bf16
  // A copy on another device, differentiable; itself if it is there already.
  Tensor to(Device device) const;
  Tensor clone() const;  // a copy of its own, differentiable

  const Ref<Node>& node() const {
    if (!impl_) [[unlikely]]
      fail_undefined();
    return impl_->node;
  }
  int output() const { return impl_ ? impl_->output : 0; }  // which of the node's outputs
  TensorImpl* impl() const { return impl_.get(); }

 private:
  [[noreturn]] static void fail_undefined();
  static Tensor from_array(const Array& values, const TensorOptions& options);
  Ref<TensorImpl> impl_;
};

std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

// Creation: on the default device and of the default dtype unless said otherwise.
Tensor zeros(const Shape& shape, const TensorOptions& options = {});
Tensor ones(const Shape& shape, const TensorOptions& options = {});
Tensor full(const Shape& shape, double value, const TensorOptions& options = {});
Tensor arange(int64_t count, const TensorOptions& options = {});  // 0, 1, ...; i64
Tensor eye(int64_t n, const TensorOptions& options = {});
// Drawn on the host from the default generator: uniform in [0, 1), and normal.
Tensor rand(const Shape& shape, const TensorOptions& options = {});
Tensor randn(const Shape& shape, const TensorOptions& options = {});
// The same with a dtype alone.
Tensor zeros(const Shape& shape, DType dtype);
Tensor ones(const Shape& shape, DType dtype);
Tensor full(const Shape& shape, double value, DType dtype);
Tensor arange(int64_t count, DType dtype);
Tensor eye(int64_t n, DType dtype);
Tensor rand(const Shape& shape, DType dtype);
Tensor randn(const Shape& shape, DType dtype);

}  // namespace heed
