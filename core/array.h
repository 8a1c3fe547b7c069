// Array: storage + shape + strides + offset + dtype + device. Copies share the storage, and views
// copy nothing. There is no arithmetic here: that belongs to backends (kernels) and autograd
// (Tensor, the type that users hold).
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
  // Not inline: a copy compiled for a newer instruction set must not serve the other callers.
  Array(const Array& other);
  Array(Array&& other) noexcept;
  Array& operator=(const Array& other);
  Array& operator=(Array&& other) noexcept;
  ~Array();
  // Uninitialised, row-major.
  static Array empty(const Shape& shape, DType dtype, Device device);
  static Array zeros(const Shape& shape, DType dtype, Device device);
  // On this array's device and, unless a dtype is given, of its dtype: how an op makes its results.
  Array new_empty(const Shape& shape) const { return empty(shape, dtype_, device_); }
  Array new_empty(const Shape& shape, DType dtype) const { return empty(shape, dtype, device_); }
  Array new_zeros(const Shape& shape) const { return zeros(shape, dtype_, device_); }
  Array new_zeros(const Shape& shape, DType dtype) const { return zeros(shape, dtype, device_); }
  // On the CPU, from the host's values.
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

  // The first element. On a device other than the CPU it is an address that the host cannot read.
  void* raw() const { return data_; }
  // For arrays on the CPU: DeviceError elsewhere, DTypeError when T is not the dtype.
  template <class T>
  T* data() const {
    if (dtype_of<T>() != dtype_ || device_.type != Device::Type::cpu) refuse_data(dtype_of<T>());
    return static_cast<T*>(data_);
  }
  // A copy of a contiguous array on another device; itself if it is there already. `to(kCpu)` is
  // how values are read back: it waits for the device, and transfer_counts() counts it.
  Array to(Device device) const;
  // The same bytes as an array on the CPU, for CPU kernels that serve this device.
  Array host_view() const;
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
  [[noreturn]] void refuse_data(DType asked) const;
  bool view_strides(const Shape& shape, Strides& strides) const;

  Ref<Storage> storage_;
  void* data_ = nullptr;
  Shape shape_;
  Strides strides_;
  DType dtype_ = DType::f32;
  Device device_;
};

}  // namespace heed
