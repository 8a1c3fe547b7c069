#include <heed/backends/index.h>

#include <algorithm>
#include <cstring>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/core/parallel.h>

namespace heed::kernels::common {
namespace {

constexpr int64_t kGrain = 1 << 14;  // elements that justify a thread

// An array as [outer, axis, inner].
struct Block {
  int64_t outer = 1, size = 1, inner = 1;
  Block(const Shape& shape, int axis) {
    for (int i = 0; i < axis; ++i) outer *= shape[i];
    size = shape[axis];
    for (int i = axis + 1; i < shape.rank(); ++i) inner *= shape[i];
  }
};

// Moving elements only needs their size.
template <class F>
void with_bytes(DType dtype, F f) {
  switch (size_of(dtype)) {
    case 1: return f(uint8_t());
    case 2: return f(uint16_t());
    case 4: return f(uint32_t());
    default: return f(uint64_t());
  }
}

template <class T>
T* at(const Array& a) {
  return static_cast<T*>(a.raw());
}

bool inside(int64_t index, int64_t size) {  // size >= 0: one comparison does
  return static_cast<uint64_t>(index) < static_cast<uint64_t>(size);
}

// Sums of bf16 are computed in f32 and rounded once.
template <class F>
void add_in_f32(const Array& out, F f) {
  const Array* outs[] = {&out};
  in_f32(outs, 1, true, [&](const Array* wide) { f(*wide); });
}

}  // namespace

int64_t first_bad_index(const Array& index, int64_t size) {
  const int64_t* p = at<int64_t>(index);
  const int64_t n = index.numel();
  for (int64_t i = 0; i < n; ++i)
    if (!inside(p[i], size)) return i;
  return -1;
}

void flag_bad_index(const Array& index, int64_t size, int64_t allowed, const Array& flag) {
  const int64_t* p = at<int64_t>(index);
  for (int64_t i = 0, n = index.numel(); i < n; ++i)
    if (!inside(p[i], size) && p[i] != allowed) *at<int64_t>(flag) = 1;
}

void index_select(const Array& x, int axis, const Array& index, const Array& out) {
  const Block from(x.shape(), axis), to(out.shape(), axis);
  const int64_t* ids = at<int64_t>(index);
  const int64_t bytes = to.inner * static_cast<int64_t>(size_of(x.dtype()));
  const char* source = at<char>(x);
  char* target = at<char>(out);
  if (bytes == 0 || to.size == 0) return;
  parallel_for(to.outer * to.size, kGrain / to.inner + 1, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t id = ids[row % to.size];
      char* copy = target + row * bytes;
      const auto count = static_cast<size_t>(bytes);
      if (inside(id, from.size))
        std::memcpy(copy, source + (row / to.size * from.size + id) * bytes, count);
      else std::memset(copy, 0, count);
    }
  });
}

// Two indices may name the same row, so threads divide the columns, not the rows.
void index_add(const Array& out, int axis, const Array& index, const Array& source, int64_t skip) {
  if (out.dtype() == DType::bf16)
    return add_in_f32(
        out, [&](const Array& wide) { index_add(wide, axis, index, widened(source), skip); });
  const Block to(out.shape(), axis), from(source.shape(), axis);
  const int64_t* ids = at<int64_t>(index);
  dispatch_types<float, double, int32_t, int64_t>("index_add", out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    constexpr int64_t kLine = 64 / sizeof(T);  // columns per cache line
    const T* values = at<T>(source);
    T* sums = at<T>(out);
    const int64_t lines = (from.inner + kLine - 1) / kLine;
    parallel_for(from.outer * lines, kGrain / (from.size * kLine + 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   while (begin < end) {
                     const int64_t o = begin / lines, first = begin % lines,
                                   last = std::min(lines, first + end - begin);
                     const int64_t from_column = first * kLine,
                                   to_column = std::min(from.inner, last * kLine);
                     for (int64_t n = 0; n < from.size; ++n) {
                       if (ids[n] == skip || !inside(ids[n], to.size)) continue;
                       const T* s = values + (o * from.size + n) * from.inner;
                       T* t = sums + (o * to.size + ids[n]) * from.inner;
                       for (int64_t c = from_column; c < to_column; ++c) t[c] += s[c];
                     }
                     begin += last - first;
                   }
                 });
  });
}

void gather(const Array& x, int axis, const Array& index, const Array& out) {
  const Block from(x.shape(), axis), to(out.shape(), axis);
  const int64_t* ids = at<int64_t>(index);
  with_bytes(x.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* source = at<T>(x);
    T* target = at<T>(out);
    parallel_for(to.outer * to.size, kGrain / (to.inner + 1) + 1, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* base = source + row / to.size * from.size * from.inner;
        for (int64_t c = 0; c < to.inner; ++c) {
          const int64_t id = ids[row * to.inner + c];
          target[row * to.inner + c] = inside(id, from.size) ? base[id * to.inner + c] : T(0);
        }
      }
    });
  });
}

void scatter_add(const Array& out, int axis, const Array& index, const Array& source) {
  if (out.dtype() == DType::bf16)
    return add_in_f32(out,
                      [&](const Array& wide) { scatter_add(wide, axis, index, widened(source)); });
  const Block to(out.shape(), axis), from(source.shape(), axis);
  const int64_t* ids = at<int64_t>(index);
  dispatch_types<float, double, int32_t, int64_t>("scatter_add", out.dtype(), [&](auto zero) {
    using T = decltype(zero);
    const T* values = at<T>(source);
    T* sums = at<T>(out);
    parallel_for(from.outer, kGrain / (from.size * from.inner + 1) + 1,
                 [&](int64_t begin, int64_t end) {
                   for (int64_t row = begin * from.size; row < end * from.size; ++row) {
                     T* base = sums + row / from.size * to.size * to.inner;
                     for (int64_t c = 0; c < from.inner; ++c)
                       if (const int64_t id = ids[row * from.inner + c]; inside(id, to.size))
                         base[id * to.inner + c] += values[row * from.inner + c];
                   }
                 });
  });
}

}  // namespace heed::kernels::common
