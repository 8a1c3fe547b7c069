#include <heed/autograd/ops/index.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>
#include <heed/backends/index.h>
#include <heed/core/plan.h>

namespace heed {

namespace {

constexpr int64_t kNoSkip = -1;

// Adds source to zeros(shape) by index: the transpose of index_select.
struct IndexAdd {
  static constexpr const char* name = "index_add";
  static constexpr unsigned saves = 2;
  Shape shape;
  int axis;
  Array forward(Inputs in) {
    Array out = in[0].new_zeros(shape);
    kernels::index_add(out, axis, in[1], packed(in[0]), kNoSkip);
    return out;
  }
  void vjp(Vjp& v) { v.add(0, index_select(v.cotangent(), axis, v.input(1))); }
};

// Adds the rows of the cotangent at their indices, directly in the gradient if possible.
void add_rows(Vjp& v, int axis, const Array& index, const Array& source, int64_t skip) {
  Vjp::Destination to = v.destination(0);
  if (!to.accumulate) kernels::fill(to.array, 0);
  kernels::index_add(to.array, axis, index, source, skip);
  if (!to.accumulate) v.add(0, Tensor(std::move(to.array)));
}

struct IndexSelect {
  static constexpr const char* name = "index_select";
  static constexpr unsigned saves = 2;
  int axis;
  Array forward(Inputs in) {
    Shape shape = in[0].shape();
    shape[axis] = in[1].numel();
    Array out = in[0].new_empty(shape);
    kernels::index_select(packed(in[0]), axis, in[1], out);
    return out;
  }
  void vjp(Vjp& v) {
    if (!v.needs(0)) return;
    if (v.create_graph()) v.add(0, apply(IndexAdd{v.shape(0), axis}, v.cotangent(), v.input(1)));
    else add_rows(v, axis, v.input(1).array(), packed(v.cotangent().array()), kNoSkip);
  }
};

struct Embedding {
  static constexpr const char* name = "embedding";
  static constexpr unsigned saves = 2;
  int64_t padding;
  Array forward(Inputs in) {
    Shape shape = in[1].shape();
    shape.push_back(in[0].dim(1));
    Array out = in[0].new_empty(shape);
    int64_t n = in[1].numel();
    kernels::index_select(packed(in[0]), 0, in[1].view({n}), out.view({n, in[0].dim(1)}));
    return out;
  }
  void vjp(Vjp& v) {
    if (!v.needs(0)) return;
    Tensor ids = v.input(1);
    int64_t n = ids.numel(), d = v.shape(0)[1];
    if (!v.create_graph())
      return add_rows(v, 0, ids.array().view({n}), packed(v.cotangent().array()).view({n, d}),
                      padding);
    Tensor g = where(unsqueeze(equal(ids, static_cast<double>(padding)), -1), 0.0, v.cotangent());
    v.add(0, apply(IndexAdd{v.shape(0), 0}, reshape(g, {n, d}), reshape(ids, {n})));
  }
};

}  // namespace

Tensor index_select(const Tensor& x, int axis, const Tensor& index) {
  axis = normalize_axis(axis, x.rank(), "index_select");
  if (index.rank() != 1)
    throw ShapeError(str("index_select: index of rank 1 expected, got ", index.shape()));
  return apply(IndexSelect{axis}, x, checked_index("index_select", index, x.shape()[axis]));
}

Tensor index_select(const Tensor& x, int axis, const std::vector<int64_t>& index) {
  axis = normalize_axis(axis, x.rank(), "index_select");
  int64_t size = x.shape()[axis], count = static_cast<int64_t>(index.size());
  for (int64_t i = 0; i < count; ++i)
    if (int64_t at = index[static_cast<size_t>(i)]; at < 0 || at >= size)
      throw ValueError(str("index_select: index ", at, " at ", Shape{i}, " of ", Shape{count},
                           " is outside [0, ", size, ")"));
  return apply(IndexSelect{axis}, x, Tensor(plan_on(Array::from(index, {count}), x.device())));
}

Tensor embedding(const Tensor& weight, const Tensor& ids, int64_t padding_index) {
  if (weight.rank() != 2)
    throw ShapeError(str("embedding: weight [V, D] expected, got ", weight.shape()));
  if (padding_index >= weight.dim(0))
    throw ValueError(
        str("embedding: padding index ", padding_index, " is outside [0, ", weight.dim(0), ")"));
  return apply(Embedding{padding_index < 0 ? kNoSkip : padding_index}, weight,
               checked_index("embedding", ids, weight.dim(0)));
}

}  // namespace heed
