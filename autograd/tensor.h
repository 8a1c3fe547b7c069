// Tensor: the one type that users hold. A handle: copies are the same tensor. It is an Array plus,
// where gradients are wanted, a place on the tape. Everything is computed at once (eager), and
// everything returned is owned.
//
//   Tensor x = Tensor::from({1, 2, 3}, {3}).set_requires_grad(true);
//   sum(x * x).backward();
//   std::cout << x.grad();        // Tensor([2, 4, 6], f32)
#pragma once

#include <initializer_list>
#include <iosfwd>
#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed {

class Node;
class Tensor;

struct TensorImpl : RefCounted {
  Array value;
  Ref<Node> node;  // empty: a constant
  TensorImpl(Array v, Ref<Node> n);
  ~TensorImpl();
};

class Tensor {
 public:
  Tensor() = default;  // undefined
  explicit Tensor(Array value);
  Tensor(Array value, Ref<Node> node);
  static Tensor from(std::initializer_list<float> values, const Shape& shape);
  template <class T>
  static Tensor from(const std::vector<T>& values, const Shape& shape) {
    return Tensor(Array::from(values, shape));
  }
  static Tensor scalar(double value, DType dtype = DType::f32);

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

  // The value of a tensor with one element; ShapeError otherwise.
  double item() const;
  std::vector<double> to_vector() const;  // row-major

  // Gradients. Only f32, f64 and bf16 can require one; it has the tensor's dtype.
  bool requires_grad() const { return impl_ && impl_->node; }
  bool is_leaf() const;                     // no op produced it, or none was recorded
  Tensor& set_requires_grad(bool on);       // leaves only
  Tensor grad() const;                      // of a leaf; undefined before backward
  void set_grad(const Tensor& grad) const;  // undefined clears it
  void zero_grad() const { set_grad(Tensor()); }
  // d this / d leaves, added to their grad. Without `cotangent`, one element is required.
  void backward(const Tensor& cotangent = Tensor(), bool retain_graph = false,
                bool create_graph = false) const;
  Tensor detach() const;  // same storage, a constant
  // Calls `hook(gradient)` when this tensor's gradient is complete; a defined result replaces it.
  void register_hook(Tensor (*hook)(const Tensor& grad, void* context), void* context) const;

  // Changes in place; not recorded, refused on tensors that are part of a graph unless no_grad.
  void copy_(const Tensor& source) const;  // broadcast and dtype conversion allowed
  void fill_(double value) const;
  // Gives this tensor (and all its handles) another value of the same shape; dtype may change.
  void set_value(Array value) const;

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
  Tensor clone() const;          // a copy of its own, differentiable

  const Ref<Node>& node() const {
    if (!impl_) [[unlikely]]
      fail_undefined();
    return impl_->node;
  }
  TensorImpl* impl() const { return impl_.get(); }

 private:
  [[noreturn]] static void fail_undefined();
  Ref<TensorImpl> impl_;
};

std::string to_string(const Tensor& tensor);
std::ostream& operator<<(std::ostream& out, const Tensor& tensor);

// Creation. f32 unless said otherwise.
Tensor zeros(const Shape& shape, DType dtype = DType::f32);
Tensor ones(const Shape& shape, DType dtype = DType::f32);
Tensor full(const Shape& shape, double value, DType dtype = DType::f32);
Tensor arange(int64_t count, DType dtype = DType::i64);  // 0, 1, ...
Tensor eye(int64_t n, DType dtype = DType::f32);
Tensor rand(const Shape& shape, DType dtype = DType::f32);   // uniform [0, 1), default generator
Tensor randn(const Shape& shape, DType dtype = DType::f32);  // normal, default generator

}  // namespace heed
