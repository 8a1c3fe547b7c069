#include <heed/backends/copy.h>

#include <string.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/loops.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

float read(const bfloat16& x) { return widened(x); }
float read(const float16& x) { return to_float(x); }
template <class T>
T read(const T& x) {
  return x;
}

template <class T, class S>
T convert(S x) {
  if constexpr (__is_same(T, bfloat16)) return narrowed<bfloat16>(x);
  else if constexpr (__is_same(T, float16)) return to_float16(static_cast<float>(x));
  else if constexpr (__is_same(T, bool)) return x != 0;
  else return static_cast<T>(x);
}

template <class S, class T>
void copy_convert(const Array& source, const Array& target) {
  Loop<2>({&target, &source}).run([&](char* const* p, const int64_t* s, int64_t n) {
    if (s[0] == sizeof(T) && s[1] == sizeof(S)) {
      auto* t = reinterpret_cast<T*>(p[0]);
      auto* f = reinterpret_cast<const S*>(p[1]);
      if (__is_same(S, T)) {
        memcpy(static_cast<void*>(t), f, static_cast<size_t>(n) * sizeof(T));
        return;
      }
      for (int64_t i = 0; i < n; ++i) t[i] = convert<T>(read(f[i]));
      return;
    }
    if (s[0] == sizeof(T) && s[1] == 0) {  // one value for the whole row: fill
      auto* t = reinterpret_cast<T*>(p[0]);
      const T value = convert<T>(read(*reinterpret_cast<const S*>(p[1])));
      for (int64_t i = 0; i < n; ++i) t[i] = value;
      return;
    }
    for (int64_t i = 0; i < n; ++i)
      *reinterpret_cast<T*>(p[0] + i * s[0]) =
          convert<T>(read(*reinterpret_cast<const S*>(p[1] + i * s[1])));
  });
}

template <class S>
void copy_from(const Array& source, const Array& target) {
  switch (target.dtype()) {
    case DType::f32: return copy_convert<S, float>(source, target);
    case DType::f64: return copy_convert<S, double>(source, target);
    case DType::bf16: return copy_convert<S, bfloat16>(source, target);
    case DType::f16: return copy_convert<S, float16>(source, target);
    case DType::u8: return copy_convert<S, uint8_t>(source, target);
    case DType::i32: return copy_convert<S, int32_t>(source, target);
    case DType::i64: return copy_convert<S, int64_t>(source, target);
    case DType::boolean: return copy_convert<S, bool>(source, target);
  }
}

template <class T>
void fill_with(const Array& target, T value) {
  Loop<1>({&target}).run([=](char* const* p, const int64_t* s, int64_t n) {
    if (s[0] == sizeof(T)) {
      auto* t = reinterpret_cast<T*>(p[0]);
      for (int64_t i = 0; i < n; ++i) t[i] = value;
      return;
    }
    for (int64_t i = 0; i < n; ++i) *reinterpret_cast<T*>(p[0] + i * s[0]) = value;
  });
}

// Transposes a matrix in tiles, so that the cache lines of both sides are used whole.
template <class T>
void transpose_copy(const T* source, int64_t s_row, int64_t s_col, T* target, int64_t t_row,
                    int64_t rows, int64_t cols) {
  constexpr int64_t kTile = 32;
  parallel_for((rows + kTile - 1) / kTile, 1 + 8192 / (cols * kTile + 1),
               [=](int64_t begin, int64_t end) {
                 for (int64_t r0 = begin * kTile; r0 < end * kTile && r0 < rows; r0 += kTile)
                   for (int64_t c0 = 0; c0 < cols; c0 += kTile)
                     for (int64_t r = r0; r < r0 + kTile && r < rows; ++r)
                       for (int64_t c = c0; c < c0 + kTile && c < cols; ++c)
                         target[r * t_row + c] = source[r * s_row + c * s_col];
               });
}

bool is_transposed_matrix(const Array& source, const Array& target) {
  return source.rank() == 2 && source.dtype() == target.dtype() && size_of(source.dtype()) >= 4 &&
         target.strides()[1] == 1 && source.strides()[0] == 1 && source.strides()[1] > 1 &&
         source.numel() > 1024;
}

}  // namespace

void copy(const Array& source, const Array& target) {
  if (is_transposed_matrix(source, target)) {
    auto go = [&](auto* s, auto* t) {
      transpose_copy(s, source.strides()[0], source.strides()[1], t, target.strides()[0],
                     source.shape()[0], source.shape()[1]);
    };
    if (size_of(source.dtype()) == 4)
      return go(static_cast<const uint32_t*>(source.raw()), static_cast<uint32_t*>(target.raw()));
    return go(static_cast<const uint64_t*>(source.raw()), static_cast<uint64_t*>(target.raw()));
  }
  switch (source.dtype()) {
    case DType::f32: return copy_from<float>(source, target);
    case DType::f64: return copy_from<double>(source, target);
    case DType::bf16: return copy_from<bfloat16>(source, target);
    case DType::f16: return copy_from<float16>(source, target);
    case DType::u8: return copy_from<uint8_t>(source, target);
    case DType::i32: return copy_from<int32_t>(source, target);
    case DType::i64: return copy_from<int64_t>(source, target);
    case DType::boolean: return copy_from<bool>(source, target);
  }
}

void fill(const Array& target, double value) {
  switch (target.dtype()) {
    case DType::f32: return fill_with(target, static_cast<float>(value));
    case DType::f64: return fill_with(target, value);
    case DType::bf16: return fill_with(target, convert<bfloat16>(value));
    case DType::f16: return fill_with(target, convert<float16>(value));
    case DType::u8: return fill_with(target, static_cast<uint8_t>(value));
    case DType::i32: return fill_with(target, static_cast<int32_t>(value));
    case DType::i64: return fill_with(target, static_cast<int64_t>(value));
    case DType::boolean: return fill_with(target, value != 0);
  }
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
