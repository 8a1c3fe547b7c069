#include <heed/core/array.h>

#include <cstring>

#include <heed/core/device_memory.h>
#include <heed/core/transfer.h>

namespace heed {

Array::Array() = default;
Array::Array(const Array& other) = default;
Array::Array(Array&& other) noexcept = default;
Array& Array::operator=(const Array& other) = default;
Array& Array::operator=(Array&& other) noexcept = default;
Array::~Array() = default;

// The number of elements. ShapeError if it is too large, or overflows on the way to 0: numel() is
// multiplied from the front, strides from the back.
static int64_t checked_count(const Shape& shape) {
  int64_t count = 1, stride = 1;
  bool overflow = false;
  for (int i = 0; i < shape.rank(); ++i) {
    if (shape[i] < 0) throw ShapeError(str("array: negative size in ", shape));
    overflow |= __builtin_mul_overflow(count, shape[i], &count);
    overflow |= __builtin_mul_overflow(stride, shape[shape.rank() - 1 - i], &stride);
  }
  if (overflow || count > (int64_t{1} << 46))
    throw ShapeError(str("array: ", shape, " has too many elements"));
  return count;
}

Array Array::empty(const Shape& shape, DType dtype, Device device) {
  const int64_t count = checked_count(shape);
  Array a;
  a.shape_ = shape;
  a.strides_ = row_major(shape);
  a.dtype_ = dtype;
  a.device_ = device;
  a.storage_ = Storage::allocate(static_cast<size_t>(count) * size_of(dtype), device);
  a.data_ = a.storage_->data();
  return a;
}

Array Array::zeros(const Shape& shape, DType dtype, Device device) {
  Array a = empty(shape, dtype, device);
  // All zero bits are 0 in every dtype.
  if (a.bytes() > 0) device_memory(device).fill(a.data_, 0, static_cast<size_t>(a.bytes()));
  return a;
}

Array Array::from_bytes(const void* values, const Shape& shape, DType dtype) {
  Array a = empty(shape, dtype, kCpu);
  if (a.bytes() > 0) std::memcpy(a.data_, values, static_cast<size_t>(a.bytes()));
  return a;
}

void Array::check_count(int64_t count, const Shape& shape) {
  if (count != shape.numel())
    throw ShapeError(str("array: ", count, " values for shape ", shape, " (", shape.numel(), ")"));
}

void Array::refuse_data(DType asked) const {
  std::string op = *OpName::current() ? str(" in ", OpName::current()) : "";
  if (device_.type != Device::Type::cpu)
    throw DeviceError(str("array: the host reads an array ", shape_, " on ", to_string(device_), op,
                          "; to(kCpu) copies it"));
  throw DTypeError(str("array: ", asked, " asked of an array of ", dtype_, " ", shape_, op));
}

Array Array::to(Device device) const {
  if (!defined() || device == device_) return *this;
  if (!is_contiguous())
    throw ShapeError(str("array: ", shape_, " with strides ", strides_, " is copied from ",
                         to_string(device_), " to ", to_string(device), "; make it contiguous"));
  Array a = empty(shape_, dtype_, device);
  auto size = static_cast<size_t>(bytes());
  if (size == 0) return a;
  if (device_ == kCpu) copy_to_device(device, a.data_, data_, size);
  else if (device == kCpu) copy_to_host(device_, a.data_, data_, size);
  else return to(kCpu).to(device);
  return a;
}

Array Array::host_view() const {
  if (!defined() || device_ == kCpu) return *this;
  Array a = *this;
  a.data_ = device_memory(device_).host_address(data_);
  a.device_ = kCpu;
  if (data_ && !a.data_)
    throw DeviceError(str("array: the CPU cannot reach the memory of ", to_string(device_)));
  return a;
}

bool Array::is_contiguous() const {
  int64_t step = 1;
  for (int i = rank() - 1; i >= 0; --i) {
    if (shape_[i] == 0) return true;
    if (shape_[i] != 1 && strides_[i] != step) return false;
    step *= shape_[i];
  }
  return true;
}

Array Array::with(const Shape& shape, const Strides& strides, int64_t offset) const {
  Array a = *this;
  a.shape_ = shape;
  a.strides_ = strides;
  a.data_ = static_cast<char*>(data_) + offset * static_cast<int64_t>(size_of(dtype_));
  return a;
}

Array Array::permute(const Shape& order) const {
  if (order.rank() != rank())
    throw ShapeError(str("permute: ", order, " has ", order.rank(), " axes, the array ", shape_));
  Shape shape = shape_, strides = strides_;
  bool seen[kMaxRank] = {};
  for (int i = 0; i < rank(); ++i) {
    int axis = normalize_axis(order[i], rank(), "permute");
    if (seen[axis]) throw ShapeError(str("permute: axis ", axis, " twice in ", order));
    seen[axis] = true;
    shape[i] = shape_[axis];
    strides[i] = strides_[axis];
  }
  return with(shape, strides);
}

Array Array::transpose(int axis_a, int axis_b) const {
  int a = normalize_axis(axis_a, rank(), "transpose"),
      b = normalize_axis(axis_b, rank(), "transpose");
  Shape shape = shape_, strides = strides_;
  std::swap(shape[a], shape[b]);
  std::swap(strides[a], strides[b]);
  return with(shape, strides);
}

Array Array::slice(int axis, int64_t begin, int64_t end, int64_t step) const {
  axis = normalize_axis(axis, rank(), "slice");
  if (begin < 0 || end < begin || end > shape_[axis] || step < 1)
    throw ShapeError(
        str("slice: [", begin, ", ", end, ") step ", step, " of axis ", axis, " in ", shape_));
  Shape shape = shape_, strides = strides_;
  shape[axis] = (end - begin + step - 1) / step;
  strides[axis] *= step;
  return with(shape, strides, shape[axis] ? begin * strides_[axis] : 0);
}

Array Array::select(int axis, int64_t index) const {
  axis = normalize_axis(axis, rank(), "select");
  if (index < 0 || index >= shape_[axis])
    throw ShapeError(str("select: index ", index, " of axis ", axis, " in ", shape_));
  return slice(axis, index, index + 1).squeeze(axis);
}

Array Array::squeeze(int axis) const {
  axis = normalize_axis(axis, rank(), "squeeze");
  if (shape_[axis] != 1) throw ShapeError(str("squeeze: axis ", axis, " of ", shape_, " is not 1"));
  Shape shape = shape_, strides = strides_;
  shape.erase(axis);
  strides.erase(axis);
  return with(shape, strides);
}

Array Array::unsqueeze(int axis) const {
  axis = normalize_axis(axis, rank() + 1, "unsqueeze");
  Shape shape = shape_, strides = strides_;
  shape.insert(axis, 1);
  strides.insert(axis, 0);
  return with(shape, strides);
}

Array Array::broadcast_to(const Shape& target) const {
  if (target == shape_) return *this;
  if (!broadcastable_to(shape_, target))
    throw ShapeError(str("broadcast_to: ", shape_, " does not broadcast to ", target));
  checked_count(target);
  Strides strides = Shape::filled(target.rank(), 0);
  for (int i = 1; i <= rank(); ++i)
    if (shape_[rank() - i] != 1) strides[target.rank() - i] = strides_[rank() - i];
  return with(target, strides);
}

// Groups of old axes that are contiguous among themselves can be divided anew. Walks both shapes
// from the end, matching a group of old axes to the new axes of the same total size.
bool Array::view_strides(const Shape& shape, Strides& strides) const {
  if (checked_count(shape) != numel()) return false;
  strides = row_major(shape);
  if (is_contiguous()) return true;
  int fresh = shape.rank() - 1;
  for (int old = rank() - 1; old >= 0;) {
    int64_t step = strides_[old], size = shape_[old];
    while (old > 0 && (shape_[old - 1] == 1 || size == 1 || strides_[old - 1] == step * size)) {
      --old;
      if (size == 1) step = strides_[old];
      size *= shape_[old];
    }
    --old;
    int64_t cut = 1;
    while (fresh >= 0 && cut * shape[fresh] <= size && (cut < size || shape[fresh] == 1)) {
      strides[fresh] = step * cut;
      cut *= shape[fresh--];
    }
    if (cut != size) return false;
  }
  return true;
}

bool Array::can_view(const Shape& shape) const {
  Strides strides;
  return view_strides(shape, strides);
}

Array Array::view(const Shape& shape) const {
  Strides strides;
  if (!view_strides(shape, strides))
    throw ShapeError(str("view: ", shape_, " with strides ", strides_, " is no view of ", shape));
  return with(shape, strides);
}

}  // namespace heed
