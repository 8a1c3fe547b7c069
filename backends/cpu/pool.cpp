// A row of the result is made in two steps: of the rows of x that it sees, the largest element of
// each column with the place of its row, and then the largest of the columns.
#include <heed/backends/pool.h>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/backends/cpu/window_ranges.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// The outputs of a row whose windows are whole and at equal distances.
struct Regular {
  int64_t first = 0, last = 0, distance = 1;

  explicit Regular(const WindowRanges& a) {
    while (first < a.out && a.count(first) < a.widest) ++first;
    last = first;
    if (first + 1 < a.out) distance = a.begin(first + 1) - a.begin(first);
    while (last < a.out && a.count(last) == a.widest &&
           a.begin(last) == a.begin(first) + (last - first) * distance)
      ++last;
  }
};

// v wins over `best`, which stands before it: it is larger, or the first NaN. Without branches, so
// that loops become vector code.
template <class T>
bool larger(T v, T best) {
  return (v > best) | ((v != v) & (best == best));
}
// The same where either may stand before the other: of equal ones and NaNs, the lower place wins.
template <class T>
bool wins(T v, int32_t place, T best, int32_t best_place) {
  const bool equal = (v == best) | ((v != v) & (best != best));
  return larger(v, best) | (equal & (place < best_place));
}

// Column i of the rows seen: its largest element, and the place where that row begins.
template <class T>
struct Columns {
  const T* value;
  const int32_t* row;
};

// Output i sees the columns i distance + k step, k < taps. D, unless 0, is `distance`.
template <int D, class T>
void regular_row(Columns<T> x, int64_t taps, int64_t distance, int64_t step, int64_t first,
                 int64_t n, T* out, int32_t* index) {
  const int64_t apart = D ? D : distance;
  for (int64_t i = 0; i < n; ++i) {
    out[i] = x.value[i * apart];
    index[i] = x.row[i * apart] + static_cast<int32_t>(first + i * apart);
  }
  for (int64_t k = 1; k < taps; ++k) {
    const T* value = x.value + k * step;
    const int32_t* row = x.row + k * step;
    const int64_t base = first + k * step;
    for (int64_t i = 0; i < n; ++i) {
      const T v = value[i * apart];
      const int32_t place = row[i * apart] + static_cast<int32_t>(base + i * apart);
      const bool better = wins(v, place, out[i], index[i]);
      out[i] = better ? v : out[i];
      index[i] = better ? place : index[i];
    }
  }
}

// The place of the largest of n numbers that follow each other.
template <class T>
int64_t place_of_max(const T* x, int64_t n) {
  int64_t i = 0;
  while (i < n && x[i] == x[i]) ++i;
  if (i < n) return i;
  const T most = row_max(x, n);
  for (i = 0; x[i] != most;) ++i;
  return i;
}

// S: the arrays' type. Rows are compared in T.
template <class S>
struct MaxPool {
  using T = accumulate_t<S>;
  const S* x;
  S* out;
  int32_t* index;
  WindowRanges depth, height, width;
  Regular regular;

  // `value` and `row` of width.in and `staged` of width.out elements are this call's own.
  void rows(int64_t begin, int64_t end, T* value, int32_t* row, StagedRow<S> staged) const {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t h = r % height.out, d = r / height.out % depth.out,
                    plane = r / height.out / depth.out;
      T* to = staged.target(out + r * width.out);
      const Columns<T> columns{columns_of(plane, d, h, value, row), row};
      within_row(columns, to, index + r * width.out);
      staged.write(width.out, out + r * width.out);
    }
  }

  const T* columns_of(int64_t plane, int64_t d, int64_t h, T* value, int32_t* row) const {
    const int64_t tall = height.count(h), count = depth.count(d) * tall;
    const S* start = x + plane * depth.in * height.in * width.in;
    auto place = [&](int64_t n) {
      const int64_t z = depth.begin(d) + n / tall * depth.step,
                    y = height.begin(h) + n % tall * height.step;
      return (z * height.in + y) * width.in;
    };
    const auto first = static_cast<int32_t>(place(0));
    for (int64_t i = 0; i < width.in; ++i) row[i] = first;
    if constexpr (__is_same(S, T))
      if (count == 1) return start + first;
    for (int64_t i = 0; i < width.in; ++i) value[i] = widened(start[first + i]);
    for (int64_t n = 1; n < count; ++n) {
      const auto base = static_cast<int32_t>(place(n));
      const S* from = start + base;
      for (int64_t i = 0; i < width.in; ++i) {
        const T v = widened(from[i]);
        const bool better = larger(v, value[i]);
        value[i] = better ? v : value[i];
        row[i] = better ? base : row[i];
      }
    }
    return value;
  }

  void within_row(Columns<T> x, T* to, int32_t* place) const {
    each_output(x, 0, regular.first, to, place);
    const int64_t n = regular.last - regular.first;
    if (width.out == 1) {
      each_output(x, regular.first, regular.last, to, place);
    } else if (n > 0) {
      const int64_t first = width.begin(regular.first);
      const Columns<T> from{x.value + first, x.row + first};
      T* target = to + regular.first;
      int32_t* index_of = place + regular.first;
      if (regular.distance == 1)
        regular_row<1>(from, width.widest, 1, width.step, first, n, target, index_of);
      else if (regular.distance == 2)
        regular_row<2>(from, width.widest, 2, width.step, first, n, target, index_of);
      else
        regular_row<0>(from, width.widest, regular.distance, width.step, first, n, target,
                       index_of);
    }
    each_output(x, regular.last, width.out, to, place);
  }

  void each_output(Columns<T> x, int64_t begin, int64_t end, T* to, int32_t* place) const {
    for (int64_t o = begin; o < end; ++o) {
      const int64_t first = width.begin(o), count = width.count(o);
      int64_t best = first;
      if (height.widest * depth.widest == 1 && width.step == 1) {
        best += place_of_max(x.value + first, count);
      } else {
        for (int64_t k = 1; k < count; ++k) {
          const int64_t i = first + k * width.step;
          if (wins(x.value[i], x.row[i], x.value[best], x.row[best])) best = i;
        }
      }
      to[o] = x.value[best];
      place[o] = x.row[best] + static_cast<int32_t>(best);
    }
  }
};

template <class S>
void run(const Array& x, const WindowAxis& depth, const WindowAxis& height, const WindowAxis& width,
         const Array& out, const Array& index) {
  using T = accumulate_t<S>;
  if (out.numel() == 0) return;
  const WindowRanges w(width);
  const MaxPool<S> f{pointer<S>(x),       pointer<S>(out),      pointer<int32_t>(index),
                     WindowRanges(depth), WindowRanges(height), w,
                     Regular(w)};
  const int64_t cost = depth.widest * height.widest * width.in + width.out * width.widest;
  parallel_for(out.numel() / width.out, 1 + 16384 / cost, [&](int64_t begin, int64_t end) {
    const auto value = width.in * static_cast<int64_t>(sizeof(T)),
               staged = StagedRow<S>::bytes(width.out),
               row = width.in * static_cast<int64_t>(sizeof(int32_t));
    common::with_scratch(value + staged + row, [&](char* scratch) {
      f.rows(begin, end, reinterpret_cast<T*>(scratch),
             reinterpret_cast<int32_t*>(scratch + value + staged),
             {staged > 0 ? reinterpret_cast<T*>(scratch + value) : nullptr});
    });
  });
}

}  // namespace

void max_pool(const Array& x, const WindowAxis& depth, const WindowAxis& height,
              const WindowAxis& width, const Array& out, const Array& index) {
  dispatch_floating("max_pool", x.dtype(),
                    [&](auto type) { run<decltype(type)>(x, depth, height, width, out, index); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
