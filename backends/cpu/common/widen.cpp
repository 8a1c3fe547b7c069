#include <heed/backends/cpu/widen.h>

#include <algorithm>
#include <vector>

#include <heed/backends/copy.h>

namespace heed::kernels::common {

static bool is_bf16(const Array& x) { return x.defined() && x.dtype() == DType::bf16; }

Array widened(const Array& x) {
  if (!is_bf16(x)) return x;
  // Converts each value once, in the order of memory.
  Shape shape = x.shape();
  std::vector<int> order;
  for (int i = 0; i < x.rank(); ++i) {
    if (x.strides()[i] == 0 && shape[i] > 1) shape[i] = 1;
    order.push_back(i);
  }
  std::stable_sort(order.begin(), order.end(),
                   [&](int a, int b) { return x.strides()[a] > x.strides()[b]; });
  Shape sizes, back = shape;
  for (int axis : order) {
    back[axis] = sizes.rank();
    sizes.push_back(shape[axis]);
  }
  Array out = Array::empty(sizes, DType::f32, x.device()).permute(back);
  copy(x.with(shape, x.strides()), out);
  return out.broadcast_to(x.shape());
}

void in_f32(const Array* const* outs, int count, bool add, FunctionRef<void(const Array*)> f) {
  Array wide[kMostResults];
  for (int i = 0; i < count; ++i) {
    const Array& out = *outs[i];
    if (!is_bf16(out)) wide[i] = out;
    else wide[i] = add ? widened(out) : Array::empty(out.shape(), DType::f32, out.device());
  }
  f(wide);
  for (int i = 0; i < count; ++i)
    if (is_bf16(*outs[i])) copy(wide[i], *outs[i]);
}

void in_f32(const AttentionProblem& problem, FunctionRef<void(const AttentionProblem&)> f,
            bool keys) {
  if (problem.q.dtype() != DType::bf16) return f(problem);
  AttentionProblem wide = problem;
  for (Array* x : {&wide.q, &wide.relative_table, &wide.bias}) *x = widened(*x);
  if (keys)
    for (Array* x : {&wide.k, &wide.v}) *x = widened(*x);
  f(wide);
}

void in_f32(const AttentionGradients& g, FunctionRef<void(const AttentionGradients&)> f) {
  bool staged = false;
  for (const Array* x : {&g.q, &g.k, &g.v, &g.relative_table, &g.bias}) staged |= is_bf16(*x);
  if (!staged) return f(g);
  const Array* overwritten[] = {&g.q, &g.k, &g.v, &g.relative_table};
  const Array* added[] = {&g.bias};
  in_f32(overwritten, 4, false, [&](const Array* wide) {
    in_f32(added, 1, true, [&](const Array* bias) {
      f(AttentionGradients{wide[0], wide[1], wide[2], wide[3], bias[0]});
    });
  });
}

}  // namespace heed::kernels::common
