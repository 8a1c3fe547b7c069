// Array: storage + shape + strides + offset + dtype + device. Copies share the storage; views copy
// nothing. No maths here: that is backends (kernels) and autograd (Tensor, the type that users
// hold).
//
//   Array a = Array::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
//   Array t = a.transpose(0, 1);  // [3, 2], the same bytes
#pragma once

#include <initializer_list>
#include <vector>

#include <heed/core/device.h>
#include <heed/core/dtype.h>
#include <heed/core/memory.h>
#include <heed/core/shape.h>

namespace heed {

class Array {
 public:
  Array();  // undefined
  // Not inline: a copy of them compiled for a newer instruction set must not serve the others.
  Array(const Array& other);
  Array(Array&& other) noexcept;
  Array& operator=(const Array& other);
  Array& operator=(Array&& other) noexcept;
  ~Array();
  // Uninitialised, row-major.
  static Array empty(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  static Array zeros(const Shape& shape, DType dtype = DType::f32, Device device = kCpu);
  template <class T>
  static Array from(const T* values, const Shape& shape) {
    return from_bytes(values, shape, dtype_of<T>());
  }
  template <class T>
  static Array from(const std::vector<T>& values, const Shape& shape) {
    check_count(static_cast<int64_t>(values.size()), shape);
    return from(values.data(), shape);
  }
  template <class T>
  static Array from(std::initializer_list<T> values, const Shape& shape) {
    check_count(static_cast<int64_t>(values.size()), shape);
    return from(values.begin(), shape);
  }

  bool defined() const { return static_cast<bool>(storage_); }
  const Shape& shape() const { return shape_; }
  const Strides& strides() const { return strides_; }  // in elements; 0 where broadcast
  int rank() const { return shape_.rank(); }
  int64_t dim(int axis) const { return shape_.dim(axis); }
  int64_t numel() const { return shape_.numel(); }
  int64_t bytes() const { return numel() * static_cast<int64_t>(size_of(dtype_)); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }
  bool is_contiguous() const;  // row-major without gaps

  void* raw() const { return data_; }  // first element
  template <class T>
  T* data() const {  // DTypeError when T is not the dtype
    if (dtype_of<T>() != dtype_) wrong_dtype(dtype_of<T>());
    return static_cast<T*>(data_);
  }
  Storage& storage() const { return *storage_; }
  bool shares_storage(const Array& other) const { return storage_ == other.storage_; }

  // Views.
  Array permute(const Shape& order) const;  // order[i] = the axis that becomes axis i
  Array transpose(int axis_a, int axis_b) const;
  Array slice(int axis, int64_t begin, int64_t end, int64_t step = 1) const;  // 0<=begin<=end<=dim
  Array select(int axis, int64_t index) const;                                // removes the axis
  Array broadcast_to(const Shape& shape) const;
  Array squeeze(int axis) const;
  Array unsqueeze(int axis) const;
  bool can_view(const Shape& shape) const;  // reshape without a copy?
  Array view(const Shape& shape) const;     // ShapeError if it needs a copy
  Array with(const Shape& shape, const Strides& strides, int64_t offset = 0) const;  // unchecked

 private:
  static Array from_bytes(const void* values, const Shape& shape, DType dtype);
  static void check_count(int64_t count, const Shape& shape);
  [[noreturn]] void wrong_dtype(DType asked) const;
  bool view_strides(const Shape& shape, Strides& strides) const;

  Ref<Storage> storage_;
  void* data_ = nullptr;
  Shape shape_;
  Strides strides_;
  DType dtype_ = DType::f32;
  Device device_;
};

}  // namespace heed
