#include <heed/backends/softmax.h>

#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// The array as [outer, n, inner], n the axis: inner = 1 walks rows, inner > 1 a vector of columns
// at once.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& shape, int axis) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    n = shape[axis];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

// A row of -inf: shifted by nothing, so that exp gives zeros instead of exp(-inf + inf) = NaN.
template <class T>
T shift_of(T max) {
  return max == static_cast<T>(-__builtin_inf()) ? T(0) : max;
}

template <class T>
void softmax_row(const T* x, int64_t n, T* out) {
  Vec<T> shift = static_cast<double>(shift_of(row_max(x, n)));
  LongSum<T> sum;
  each_vec<T>(n, [&](int64_t i, auto part) {
    Vec<T> e = exp(load(x + i, part, static_cast<T>(-__builtin_inf())) - shift);
    store(out + i, e, part);
    sum.add(e);
  });
  double total = sum.value();
  Vec<T> scale = total == 0 ? 0 : 1 / total;
  each_vec<T>(n, [&](int64_t i, auto part) { store(out + i, load(out + i, part) * scale, part); });
}

template <class T>
void log_softmax_row(const T* x, int64_t n, T* out) {
  Vec<T> shift = static_cast<double>(shift_of(row_max(x, n)));
  LongSum<T> sum;
  each_vec<T>(n, [&](int64_t i, auto part) {
    sum.add(exp(load(x + i, part, static_cast<T>(-__builtin_inf())) - shift));
  });
  double total = sum.value();
  Vec<T> log_sum = total == 0 ? 0 : __builtin_log(total);
  // (x - max) first: max + log_sum would round away what log_sum says when max is large.
  each_vec<T>(n, [&](int64_t i, auto part) {
    store(out + i, (load(x + i, part) - shift) - log_sum, part);
  });
}

template <class T>
void softmax_columns(const T* x, AxisView v, bool is_log, T* out, auto part) {
  const Vec<T> lowest = -__builtin_inf();
  Vec<T> shift = lowest;
  for (int64_t j = 0; j < v.n; ++j) shift = max_keep(shift, load(x + j * v.inner, part));
  shift = select(shift == lowest, Vec<T>(0.0), shift);
  Vec<T> sum = 0.0, stretch = 0.0;
  for (int64_t j = 0; j < v.n; ++j) {
    Vec<T> e = exp(load(x + j * v.inner, part) - shift);
    if (!is_log) store(out + j * v.inner, e, part);
    stretch += e;
    if (j % 64 == 63) {
      sum += stretch;
      stretch = 0.0;
    }
  }
  sum += stretch;
  Mask<T> empty = sum == Vec<T>(0.0);
  sum = select(empty, Vec<T>(1.0), sum);
  if (is_log) {
    Vec<T> log_sum = log(sum);
    for (int64_t j = 0; j < v.n; ++j)
      store(out + j * v.inner, (load(x + j * v.inner, part) - shift) - log_sum, part);
  } else {
    Vec<T> scale = Vec<T>(1.0) / sum;
    for (int64_t j = 0; j < v.n; ++j)
      store(out + j * v.inner, load(out + j * v.inner, part) * scale, part);
  }
}

// dx = y (g - sum g y)
template <class T>
void backward_row(const T* y, const T* g, int64_t n, bool is_log, T* out) {
  LongSum<T> sum;
  if (is_log) {
    each_vec<T>(n, [&](int64_t i, auto part) { sum.add(load(g + i, part)); });
    Vec<T> total = sum.value();
    each_vec<T>(n, [&](int64_t i, auto part) {
      store(out + i, load(g + i, part) - exp(load(y + i, part)) * total, part);
    });
  } else {
    each_vec<T>(n, [&](int64_t i, auto part) { sum.add(load(g + i, part) * load(y + i, part)); });
    Vec<T> total = sum.value();
    each_vec<T>(n, [&](int64_t i, auto part) {
      store(out + i, load(y + i, part) * (load(g + i, part) - total), part);
    });
  }
}

template <class T>
void backward_columns(const T* y, const T* g, AxisView v, bool is_log, T* out, auto part) {
  Vec<T> sum = 0.0, stretch = 0.0;
  for (int64_t j = 0; j < v.n; ++j) {
    Vec<T> term = load(g + j * v.inner, part);
    if (!is_log) term *= load(y + j * v.inner, part);
    stretch += term;
    if (j % 64 == 63) {
      sum += stretch;
      stretch = 0.0;
    }
  }
  sum += stretch;
  for (int64_t j = 0; j < v.n; ++j) {
    Vec<T> gj = load(g + j * v.inner, part), yj = load(y + j * v.inner, part);
    store(out + j * v.inner, is_log ? gj - exp(yj) * sum : yj * (gj - sum), part);
  }
}

// row(offset) for every row, or column(offset, part) for every vector of columns.
template <class T, class Row, class Column>
void run(AxisView v, Row row, Column column) {
  constexpr int64_t kGrain = 16384, width = Vec<T>::width;
  if (v.n == 0 || v.outer == 0 || v.inner == 0) return;
  if (v.inner == 1) {
    parallel_for(v.outer, 1 + kGrain / v.n, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(r * v.n);
    });
    return;
  }
  int64_t strips = (v.inner + width - 1) / width;
  parallel_for(v.outer * strips, 1 + kGrain / (v.n * width), [&](int64_t begin, int64_t end) {
    for (int64_t u = begin; u < end; ++u) {
      int64_t first = u % strips * width, offset = u / strips * v.n * v.inner + first;
      if (first + width <= v.inner) column(offset, FullVec{});
      else column(offset, PartVec{v.inner - first});
    }
  });
}

template <class T>
void forward(const Array& x, int axis, bool is_log, const Array& out) {
  AxisView v(x.shape(), axis);
  const T* from = static_cast<const T*>(x.raw());
  T* to = static_cast<T*>(out.raw());
  run<T>(
      v,
      [&](int64_t o) {
        is_log ? log_softmax_row(from + o, v.n, to + o) : softmax_row(from + o, v.n, to + o);
      },
      [&](int64_t o, auto part) { softmax_columns(from + o, v, is_log, to + o, part); });
}

template <class T>
void backward(const Array& y, const Array& cotangent, int axis, bool is_log, const Array& grad) {
  AxisView v(y.shape(), axis);
  const T *py = static_cast<const T*>(y.raw()), *pg = static_cast<const T*>(cotangent.raw());
  T* to = static_cast<T*>(grad.raw());
  run<T>(
      v, [&](int64_t o) { backward_row(py + o, pg + o, v.n, is_log, to + o); },
      [&](int64_t o, auto part) { backward_columns(py + o, pg + o, v, is_log, to + o, part); });
}

}  // namespace

void softmax(const Array& x, int axis, bool is_log, const Array& out) {
  x.dtype() == DType::f32 ? forward<float>(x, axis, is_log, out)
                          : forward<double>(x, axis, is_log, out);
}

void softmax_backward(const Array& y, const Array& cotangent, int axis, bool is_log,
                      const Array& grad) {
  y.dtype() == DType::f32 ? backward<float>(y, cotangent, axis, is_log, grad)
                          : backward<double>(y, cotangent, axis, is_log, grad);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
