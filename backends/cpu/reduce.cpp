// sum over any set of axes. Axes are merged first, so that few patterns remain:
//
//   rows     the axis with stride 1 is reduced   sum over the last axis
//   columns  the axis with stride 1 is kept      sum over the first axis
//   general  no axis has stride 1                broadcast operands
//
// Work is divided by shape alone and partial sums are combined in order, so results do not depend
// on the threads.
#include <heed/backends/reduce.h>

#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
inline constexpr bool is_floating_type = std::is_floating_point_v<accumulate_t<T>>;

struct Axis {
  int64_t size = 1, stride = 0;
};
// Axes from outermost to innermost.
struct Axes {
  Axis axis[kMaxRank + 1] = {};  // one more: `take` reads past the last
  int count = 0;
  int64_t numel() const {
    int64_t n = 1;
    for (int i = 0; i < count; ++i) n *= axis[i].size;
    return n;
  }
  // Offset in x of element `index` in row-major order of these axes.
  int64_t offset(int64_t index) const {
    int64_t at = 0;
    for (int i = count - 1; i > 0; --i) {
      at += index % axis[i].size * axis[i].stride;
      index /= axis[i].size;
    }
    return count > 0 ? at + index * axis[0].stride : at;
  }
  void push(int64_t size, int64_t stride) {
    if (size == 1) return;
    if (count > 0 && axis[count - 1].stride == size * stride) {
      axis[count - 1] = {axis[count - 1].size * size, stride};
    } else {
      axis[count++] = {size, stride};
    }
  }
  int find_unit() const {  // the axis of stride 1, or -1
    for (int i = 0; i < count; ++i)
      if (axis[i].stride == 1) return i;
    return -1;
  }
  Axis take(int at) {
    const Axis taken = axis[at];
    for (int j = at; j < kMaxRank; ++j) axis[j] = axis[j + 1];
    --count;
    return taken;
  }
};

constexpr int64_t kGrain = 1 << 14;  // elements that justify a thread
constexpr int64_t kMaxParts = 64;    // partial sums of one long sum
constexpr int64_t kColumns = 512;    // columns whose sums stay in cache
constexpr int64_t kMaxRowParts = 16;
constexpr FullVec all;

// n contiguous elements. f32 lanes add 16 values each before they are added to the double.
template <class T>
sum_t<T> sum_row(const T* p, int64_t n) {
  if constexpr (is_floating_type<T>) {
    using V = Vec<accumulate_t<T>>;
    constexpr int64_t w = V::width, block = 64 * w;
    double total = 0;
    while (n >= 4 * w) {
      int64_t now = n < block ? n / (4 * w) * (4 * w) : block;
      V a = load(p, all), b = load(p + w, all), c = load(p + 2 * w, all), d = load(p + 3 * w, all);
      for (int64_t i = 4 * w; i < now; i += 4 * w) {
        a += load(p + i, all);
        b += load(p + i + w, all);
        c += load(p + i + 2 * w, all);
        d += load(p + i + 3 * w, all);
      }
      total += static_cast<double>(((a + b) + (c + d)).sum());
      p += now;
      n -= now;
    }
    for (int64_t i = 0; i < n; ++i) total += static_cast<double>(widened(p[i]));
    return total;
  } else {
    sum_t<T> total = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<sum_t<T>>(p[i]);
    return total;
  }
}

// Outputs that each sum `reduced` long contiguous rows.
template <class T>
void sum_rows(const T* x, Axes kept, Axes reduced, int64_t n, T* out) {
  const int64_t outputs = kept.numel(), rows = reduced.numel();
  if (outputs >= kMaxParts || outputs * rows * n <= 2 * kGrain) {
    parallel_for(outputs, kGrain / (rows * n) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        const T* base = x + kept.offset(o);
        sum_t<T> total = 0;
        for (int64_t r = 0; r < rows; ++r) total += sum_row(base + reduced.offset(r), n);
        out[o] = narrowed<T>(total);
      }
    });
    return;
  }
  // Few outputs: each is cut into parts, by rows or within its one row.
  const int64_t count = rows > 1 ? rows : n;
  int64_t size = (count + kMaxParts - 1) / kMaxParts;
  const int64_t smallest = rows > 1 ? kGrain / n + 1 : kGrain;
  if (size < smallest) size = smallest;
  const int64_t parts = (count + size - 1) / size;
  for (int64_t o = 0; o < outputs; ++o) {
    const T* base = x + kept.offset(o);
    sum_t<T> partial[kMaxParts];
    parallel_for(parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t first = part * size, last = first + size < count ? first + size : count;
        sum_t<T> total = 0;
        if (rows > 1) {
          for (int64_t r = first; r < last; ++r) total += sum_row(base + reduced.offset(r), n);
        } else {
          total = sum_row(base + first, last - first);
        }
        partial[part] = total;
      }
    });
    sum_t<T> total = 0;
    for (int64_t part = 0; part < parts; ++part) total += partial[part];
    out[o] = narrowed<T>(total);
  }
}

// sums[0, n) += the rows [first, last), each n <= kColumns elements; f32 is added to the doubles
// every 64 rows.
template <class T>
void add_rows(const T* x, const Axes& reduced, int64_t first, int64_t last, int64_t n,
              sum_t<T>* sums) {
  if constexpr (is_floating_type<T>) {
    using V = Vec<accumulate_t<T>>;
    constexpr int64_t w = V::width, rows_in_block = 64;
    accumulate_t<T> block[kColumns];
    for (int64_t start = first; start < last; start += rows_in_block) {
      const int64_t stop = start + rows_in_block < last ? start + rows_in_block : last;
      for (int64_t i = 0; i < n; ++i) block[i] = 0;
      int64_t r = start;
      for (; r + 4 <= stop; r += 4) {
        const T *a = x + reduced.offset(r), *b = x + reduced.offset(r + 1),
                *c = x + reduced.offset(r + 2), *d = x + reduced.offset(r + 3);
        int64_t i = 0;
        for (; i + w <= n; i += w)
          (V::load(block + i) +
           ((load(a + i, all) + load(b + i, all)) + (load(c + i, all) + load(d + i, all))))
              .store(block + i);
        for (; i < n; ++i)
          block[i] += (widened(a[i]) + widened(b[i])) + (widened(c[i]) + widened(d[i]));
      }
      for (; r < stop; ++r) {
        const T* a = x + reduced.offset(r);
        for (int64_t i = 0; i < n; ++i) block[i] += widened(a[i]);
      }
      for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<double>(block[i]);
    }
  } else {
    for (int64_t r = first; r < last; ++r) {
      const T* a = x + reduced.offset(r);
      for (int64_t i = 0; i < n; ++i) sums[i] += static_cast<sum_t<T>>(a[i]);
    }
  }
}

// The contiguous axis is kept: `n` columns side by side. `out` is in order (kept, column), or
// scattered by `out_kept` and `out_stride` if the column axis was not the last one.
template <class T>
void sum_columns(const T* x, Axes kept, Axes reduced, int64_t n, Axes out_kept, int64_t out_stride,
                 T* out) {
  const int64_t outer = kept.numel(), rows = reduced.numel();
  const int64_t blocks = (n + kColumns - 1) / kColumns, tasks = outer * blocks;
  const int64_t cost = rows * (n < kColumns ? n : kColumns);
  int64_t row_parts = 1;
  if (tasks < 8) {
    row_parts = cost / kGrain;
    if (row_parts > kMaxRowParts) row_parts = kMaxRowParts;
    if (row_parts < 1) row_parts = 1;
  }
  const int64_t part_size = (rows + row_parts - 1) / row_parts;
  auto finish = [&](int64_t task, const sum_t<T>* sums, int64_t columns) {
    T* target = out + out_kept.offset(task / blocks) + task % blocks * kColumns * out_stride;
    for (int64_t i = 0; i < columns; ++i) target[i * out_stride] = narrowed<T>(sums[i]);
  };
  auto columns_of = [&](int64_t task) {
    const int64_t left = n - task % blocks * kColumns;
    return left < kColumns ? left : kColumns;
  };
  auto source_of = [&](int64_t task) {
    return x + kept.offset(task / blocks) + task % blocks * kColumns;
  };
  if (row_parts == 1) {
    parallel_for(tasks, kGrain / (cost + 1) + 1, [&](int64_t begin, int64_t end) {
      sum_t<T> sums[kColumns];
      for (int64_t task = begin; task < end; ++task) {
        const int64_t columns = columns_of(task);
        for (int64_t i = 0; i < columns; ++i) sums[i] = 0;
        add_rows(source_of(task), reduced, 0, rows, columns, sums);
        finish(task, sums, columns);
      }
    });
    return;
  }
  for (int64_t task = 0; task < tasks; ++task) {
    const int64_t columns = columns_of(task);
    sum_t<T> partial[kMaxRowParts][kColumns];
    parallel_for(row_parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t part = begin; part < end; ++part) {
        const int64_t first = part * part_size,
                      last = first + part_size < rows ? first + part_size : rows;
        for (int64_t i = 0; i < columns; ++i) partial[part][i] = 0;
        add_rows(source_of(task), reduced, first, last, columns, partial[part]);
      }
    });
    for (int64_t part = 1; part < row_parts; ++part)
      for (int64_t i = 0; i < columns; ++i) partial[0][i] += partial[part][i];
    finish(task, partial[0], columns);
  }
}

template <class T>
void sum_general(const T* x, Axes kept, Axes reduced, T* out) {
  const int64_t rows = reduced.numel();
  parallel_for(kept.numel(), kGrain / (rows + 1) + 1, [&](int64_t begin, int64_t end) {
    for (int64_t o = begin; o < end; ++o) {
      const T* base = x + kept.offset(o);
      sum_t<T> total = 0;
      for (int64_t r = 0; r < rows; ++r)
        total += static_cast<sum_t<T>>(widened(base[reduced.offset(r)]));
      out[o] = narrowed<T>(total);
    }
  });
}

template <class T>
void sum_typed(const Array& x, const Array& out) {
  const T* source = static_cast<const T*>(x.raw());
  T* target = static_cast<T*>(out.raw());
  // Kept axes merge only if they merge in both arrays; out is contiguous, so x decides.
  Axes kept, reduced, out_kept;
  const Shape &sizes = x.shape(), &sizes_out = out.shape();
  const Strides &strides = x.strides(), &strides_out = out.strides();
  for (int i = 0; i < x.rank(); ++i) {
    if (sizes_out[i] != sizes[i]) {
      reduced.push(sizes[i], strides[i]);
      continue;
    }
    const int before = kept.count;
    kept.push(sizes[i], strides[i]);
    if (sizes[i] == 1) continue;
    if (kept.count > before) out_kept.axis[out_kept.count++] = {sizes[i], strides_out[i]};
    else out_kept.axis[out_kept.count - 1] = {kept.axis[before - 1].size, strides_out[i]};
  }
  if (out.numel() == 0) return;
  if (x.numel() == 0) {
    for (int64_t i = 0; i < out.numel(); ++i) target[i] = T{};
    return;
  }
  // By falling strides, so that a permuted array is read in the order of its memory.
  for (int i = 1; i < reduced.count; ++i)
    for (int j = i; j > 0 && reduced.axis[j - 1].stride < reduced.axis[j].stride; --j) {
      const Axis swap = reduced.axis[j];
      reduced.axis[j] = reduced.axis[j - 1];
      reduced.axis[j - 1] = swap;
    }
  if (int at = reduced.find_unit(); at >= 0) {
    const Axis row = reduced.take(at);
    return sum_rows(source, kept, reduced, row.size, target);
  }
  if (int at = kept.find_unit(); at >= 0) {
    const Axis column = kept.take(at), column_out = out_kept.take(at);
    return sum_columns(source, kept, reduced, column.size, out_kept, column_out.stride, target);
  }
  sum_general(source, kept, reduced, target);
}

}  // namespace

void sum(const Array& x, const Array& out) {
  dispatch_types<float, double, bfloat16, int32_t, int64_t>(
      "sum", x.dtype(), [&](auto type) { sum_typed<decltype(type)>(x, out); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
