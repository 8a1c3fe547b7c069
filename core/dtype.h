// Element types. The CPU computes in f32, f64 and bf16; bf16 arithmetic is done in f32 and rounded
// where a result is stored. f16 is a storage type there: convert, compute, convert back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include <heed/core/error.h>

namespace heed {

enum class DType : uint8_t { f32, f64, bf16, f16, u8, i32, i64, boolean };

// Upper 16 bits of a float32; conversion rounds to nearest even and keeps NaN.
struct bfloat16 {
  uint16_t bits;
};
// IEEE binary16.
struct float16 {
  uint16_t bits;
};

float to_float(bfloat16 x);
float to_float(float16 x);
bfloat16 to_bfloat16(float x);
float16 to_float16(float x);

size_t size_of(DType dtype);                   // bytes per element
std::string to_string(DType dtype);            // "f32"
DType dtype_from_name(std::string_view name);  // ValueError lists the names
inline bool is_floating(DType d) { return d <= DType::f16; }
inline bool is_differentiable(DType d) { return d <= DType::bf16; }
inline bool is_number(DType d) {  // that ops compute with
  return is_differentiable(d) || d == DType::i32 || d == DType::i64;
}
// The most negative finite number of f32, f64 or bf16, a substitute for -infinity in levels and
// log-sum-exps: exp(lowest - x) is 0, and lowest - lowest is 0, not NaN. DTypeError for others.
double lowest(DType dtype);
// The dtype in which sums and statistics are kept: f32 for bf16 and f16, else the dtype itself.
inline DType accumulate_dtype(DType d) {
  return d == DType::bf16 || d == DType::f16 ? DType::f32 : d;
}
// DTypeError "softmax: f32, f64 or bf16 expected, got i64"; for f16 it says what to do about it.
[[noreturn]] void refuse_dtype(const char* op, DType got,
                               const char* expected = "f32, f64 or bf16");
[[noreturn]] void refuse_dtype(const char* op, DType got, const DType* expected, int count);

template <class T>
inline constexpr bool always_false = false;

template <class T>
constexpr DType dtype_of() {
  if constexpr (std::is_same_v<T, float>) return DType::f32;
  else if constexpr (std::is_same_v<T, double>) return DType::f64;
  else if constexpr (std::is_same_v<T, bfloat16>) return DType::bf16;
  else if constexpr (std::is_same_v<T, float16>) return DType::f16;
  else if constexpr (std::is_same_v<T, uint8_t>) return DType::u8;
  else if constexpr (std::is_same_v<T, int32_t>) return DType::i32;
  else if constexpr (std::is_same_v<T, int64_t>) return DType::i64;
  else if constexpr (std::is_same_v<T, bool>) return DType::boolean;
  else static_assert(always_false<T>, "no DType for this type");
}

}  // namespace heed
