// The view ops that take a part or join parts: slice, select, split, pad, concat, stack.
#include <algorithm>

#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>

namespace heed {

namespace {

// A part along one axis; `drop`: of one element, without its axis.
struct Part {
  int axis;
  int64_t begin, end, step = 1;
  bool drop = false;
  Array of(const Array& x) const {
    Array part = x.slice(axis, begin, end, step);
    return drop ? part.squeeze(axis) : part;
  }
};

Tensor place(const Tensor& x, const Shape& shape, Part part);

// The gradient of a part is zero elsewhere. Each part in a loop over x would fill and add a tensor
// of x's size; writing into the gradient that is there costs only as much as the part itself.
void add_part(Vjp& v, Part part) {
  if (!v.needs(0)) return;
  if (v.create_graph()) return v.add(0, place(v.cotangent(), v.shape(0), part));
  Vjp::Destination to = v.destination(0);
  if (to.accumulate) return add_in_place(part.of(to.array), v.cotangent().array());
  kernels::fill(to.array, 0);
  kernels::copy(v.cotangent().array(), part.of(to.array));
  v.add(0, Tensor(std::move(to.array)));
}

struct Slice {
  static constexpr const char* name = "slice";
  static constexpr unsigned saves = 0;
  Part part;
  Array forward(Inputs in) { return part.of(in[0]); }
  void vjp(Vjp& v) { add_part(v, part); }
};

struct Select {
  static constexpr const char* name = "select";
  static constexpr unsigned saves = 0;
  Part part;
  Array forward(Inputs in) { return part.of(in[0]); }
  void vjp(Vjp& v) { add_part(v, part); }
};

Array placed(const Array& x, const Shape& shape, const Part& part, double value) {
  Array out = x.new_empty(shape);
  kernels::fill(out, value);
  kernels::copy(x, part.of(out));
  return out;
}

// The transpose of slice and select.
struct SliceBackward {
  static constexpr const char* name = "slice_backward";
  static constexpr unsigned saves = 0;
  Shape shape;
  Part part;
  Array forward(Inputs in) { return placed(in[0], shape, part, 0); }
  void vjp(Vjp& v) {
    v.add(0, part.drop ? apply(Select{part}, v.cotangent()) : apply(Slice{part}, v.cotangent()));
  }
};

Tensor place(const Tensor& x, const Shape& shape, Part part) {
  return apply(SliceBackward{shape, part}, x);
}

struct Pad {
  static constexpr const char* name = "pad";
  static constexpr unsigned saves = 0;
  Shape shape;
  Part part;
  double value;
  Array forward(Inputs in) { return placed(in[0], shape, part, value); }
  void vjp(Vjp& v) { v.add(0, apply(Slice{part}, v.cotangent())); }
};

struct Concat {
  static constexpr const char* name = "concat";
  static constexpr unsigned saves = 0;
  int axis;
  Array forward(Inputs in) {
    Shape shape = in[0].shape();
    for (int i = 1; i < in.count(); ++i) {
      Shape other = in[i].shape();
      bool fits = other.rank() == shape.rank();
      for (int a = 0; fits && a < shape.rank(); ++a) fits = a == axis || other[a] == shape[a];
      if (!fits)
        throw ShapeError(str("concat: part ", i, " is ", other, ", part 0 is ", in[0].shape(),
                             "; they may differ in axis ", axis, " alone"));
      if (in[i].dtype() != in[0].dtype())
        throw DTypeError(
            str("concat: part ", i, " is ", in[i].dtype(), ", part 0 is ", in[0].dtype()));
      shape[axis] += other[axis];
    }
    Array out = in[0].new_empty(shape);
    int64_t at = 0;
    for (int i = 0; i < in.count(); ++i) {
      int64_t size = in[i].shape()[axis];
      kernels::copy(in[i], out.slice(axis, at, at + size));
      at += size;
    }
    return out;
  }
  void vjp(Vjp& v) {
    int64_t at = 0;
    for (int i = 0; i < v.count(); ++i) {
      int64_t size = v.shape(i)[axis];
      if (v.needs(i)) v.add(i, slice(v.cotangent(), axis, at, at + size));
      at += size;
    }
  }
};

}  // namespace

Tensor slice(const Tensor& x, int axis, int64_t begin, int64_t end, int64_t step) {
  axis = normalize_axis(axis, x.rank(), "slice");
  if (step < 1)
    throw ValueError(str("slice: step ", step, " is below 1 (use flip to go backwards)"));
  int64_t size = x.shape()[axis];
  auto clamp = [&](int64_t bound) {
    return std::clamp<int64_t>(bound < 0 ? bound + size : bound, 0, size);
  };
  begin = clamp(begin);
  end = std::max(begin, clamp(end));
  return apply(Slice{{axis, begin, end, step}}, x);
}

Tensor select(const Tensor& x, int axis, int64_t index) {
  axis = normalize_axis(axis, x.rank(), "select");
  int64_t size = x.shape()[axis];
  if (index < -size || index >= size)
    throw ShapeError(
        str("select: index ", index, " is out of range for axis ", axis, " of ", x.shape()));
  if (index < 0) index += size;
  return apply(Select{{axis, index, index + 1, 1, true}}, x);
}

std::vector<Tensor> split(const Tensor& x, int axis, int64_t size) {
  if (size < 1) throw ValueError(str("split: size ", size, " is below 1"));
  axis = normalize_axis(axis, x.rank(), "split");
  std::vector<int64_t> sizes;
  for (int64_t left = x.shape()[axis]; left > 0; left -= size)
    sizes.push_back(std::min(left, size));
  return split(x, axis, sizes);
}

std::vector<Tensor> split(const Tensor& x, int axis, const std::vector<int64_t>& sizes) {
  axis = normalize_axis(axis, x.rank(), "split");
  int64_t total = 0;
  for (int64_t size : sizes) {
    if (size < 0) throw ValueError(str("split: size ", size, " is negative"));
    total += size;
  }
  if (total != x.shape()[axis])
    throw ShapeError(str("split: the sizes add up to ", total, ", axis ", axis, " of ", x.shape(),
                         " has ", x.shape()[axis]));
  std::vector<Tensor> parts;
  int64_t at = 0;
  for (int64_t size : sizes) {
    parts.push_back(apply(Slice{{axis, at, at + size}}, x));
    at += size;
  }
  return parts;
}

Tensor pad(const Tensor& x, int axis, int64_t before, int64_t after, double value) {
  axis = normalize_axis(axis, x.rank(), "pad");
  if (before < 0 || after < 0)
    throw ValueError(
        str("pad: ", before, " before and ", after, " after: neither may be negative"));
  if (before == 0 && after == 0) return x;
  Shape shape = x.shape();
  shape[axis] += before + after;
  return apply(Pad{shape, {axis, before, before + x.shape()[axis]}, value}, x);
}

Tensor concat(const std::vector<Tensor>& parts, int axis) {
  if (parts.empty()) throw ValueError("concat: no parts");
  return apply(Concat{normalize_axis(axis, parts[0].rank(), "concat")}, parts);
}

Tensor stack(const std::vector<Tensor>& parts, int axis) {
  if (parts.empty()) throw ValueError("stack: no parts");
  axis = normalize_axis(axis, parts[0].rank() + 1, "stack");
  std::vector<Tensor> raised;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (!(parts[i].shape() == parts[0].shape()))
      throw ShapeError(
          str("stack: part ", i, " is ", parts[i].shape(), ", part 0 is ", parts[0].shape()));
    raised.push_back(unsqueeze(parts[i], axis));
  }
  return concat(raised, axis);
}

}  // namespace heed
