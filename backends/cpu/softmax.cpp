#include <heed/backends/softmax.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// The array as [outer, n, inner], n the axis: inner = 1 means rows; inner > 1 takes a vector of
// columns at once.
struct AxisView {
  int64_t outer = 1, n = 1, inner = 1;
  AxisView(const Shape& shape, int axis) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    n = shape[axis];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
  AxisView with(int64_t other_inner) const {
    AxisView v = *this;
    v.inner = other_inner;
    return v;
  }
};

// A row of -inf is shifted by 0, so that exp gives zeros instead of exp(-inf + inf) = NaN.
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
  // (x - max) first: max + log_sum would lose log_sum to rounding when max is large.
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

// rows(first, last offset) for pieces of the rows, or column(offset, part) for every vector of
// columns.
template <class T, class Rows, class Column>
void run(AxisView v, Rows rows, Column column) {
  constexpr int64_t kGrain = 16384, width = Vec<T>::width;
  if (v.n == 0 || v.outer == 0 || v.inner == 0) return;
  if (v.inner == 1) {
    parallel_for(v.outer, 1 + kGrain / v.n,
                 [&](int64_t begin, int64_t end) { rows(begin * v.n, end * v.n); });
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

// f(x, inner, out, part): the strip of columns at `offset` of the operands, or for bf16 copies of
// it in f32, where a row of the strip is one vector.
template <class S, class F>
void with_strip(const AxisView& v, const S* const (&from)[2], S* to, auto part, F f) {
  using T = accumulate_t<S>;
  if constexpr (StagedRow<S>::staged) {
    constexpr int64_t width = Vec<T>::width;
    common::with_scratch(3 * StagedRow<S>::bytes(v.n * width), [&](char* memory) {
      T* rows[3];
      for (int k = 0; k < 3; ++k) rows[k] = reinterpret_cast<T*>(memory) + k * v.n * width;
      for (int k = 0; k < 2; ++k)
        for (int64_t j = 0; from[k] && j < v.n; ++j)
          load(from[k] + j * v.inner, part).store(rows[k] + j * width);
      f(rows[0], rows[1], width, rows[2], FullVec{});
      for (int64_t j = 0; j < v.n; ++j)
        store(to + j * v.inner, Vec<T>::load(rows[2] + j * width), part);
    });
  } else {
    f(from[0], from[1], v.inner, to, part);
  }
}

template <class S>
void forward(const Array& x, int axis, bool is_log, const Array& out) {
  using T = accumulate_t<S>;
  AxisView v(x.shape(), axis);
  const S* from = static_cast<const S*>(x.raw());
  S* to = static_cast<S*>(out.raw());
  run<T>(
      v,
      [&](int64_t begin, int64_t end) {
        common::with_scratch(StagedRow<S>::bytes(v.n), [&](char* memory) {
          StagedRow<S> row{reinterpret_cast<T*>(memory)};
          for (int64_t o = begin; o < end; o += v.n) {
            const T* in = row.read(from + o, v.n);
            T* result = row.target(to + o);
            is_log ? log_softmax_row(in, v.n, result) : softmax_row(in, v.n, result);
            row.write(v.n, to + o);
          }
        });
      },
      [&](int64_t o, auto part) {
        with_strip<S>(v, {from + o, nullptr}, to + o, part,
                      [&](const T* in, const T*, int64_t inner, T* result, auto whole) {
                        softmax_columns(in, v.with(inner), is_log, result, whole);
                      });
      });
}

template <class S>
void backward(const Array& y, const Array& cotangent, int axis, bool is_log, const Array& grad) {
  using T = accumulate_t<S>;
  AxisView v(y.shape(), axis);
  const S *py = static_cast<const S*>(y.raw()), *pg = static_cast<const S*>(cotangent.raw());
  S* to = static_cast<S*>(grad.raw());
  run<T>(
      v,
      [&](int64_t begin, int64_t end) {
        common::with_scratch(2 * StagedRow<S>::bytes(v.n), [&](char* memory) {
          StagedRow<S> row{reinterpret_cast<T*>(memory)}, other = row.next(v.n);
          for (int64_t o = begin; o < end; o += v.n) {
            backward_row(row.read(py + o, v.n), other.read(pg + o, v.n), v.n, is_log,
                         row.target(to + o));
            row.write(v.n, to + o);
          }
        });
      },
      [&](int64_t o, auto part) {
        with_strip<S>(v, {py + o, pg + o}, to + o, part,
                      [&](const T* yj, const T* gj, int64_t inner, T* result, auto whole) {
                        backward_columns(yj, gj, v.with(inner), is_log, result, whole);
                      });
      });
}

}  // namespace

void softmax(const Array& x, int axis, bool is_log, const Array& out) {
  dispatch_floating("softmax", x.dtype(),
                    [&](auto type) { forward<decltype(type)>(x, axis, is_log, out); });
}

void softmax_backward(const Array& y, const Array& cotangent, int axis, bool is_log,
                      const Array& grad) {
  dispatch_floating("softmax_backward", y.dtype(),
                    [&](auto type) { backward<decltype(type)>(y, cotangent, axis, is_log, grad); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
