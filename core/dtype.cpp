#include <heed/core/dtype.h>

#include <limits>

#include <bit>
#include <cmath>

namespace heed {

namespace {
struct Row {
  std::string_view name;
  size_t size;
};
constexpr Row kRows[] = {{"f32", 4}, {"f64", 8}, {"bf16", 2}, {"f16", 2},
                         {"u8", 1},  {"i32", 4}, {"i64", 8},  {"bool", 1}};
}  // namespace

size_t size_of(DType dtype) { return kRows[static_cast<int>(dtype)].size; }
std::string to_string(DType dtype) { return std::string(kRows[static_cast<int>(dtype)].name); }

DType dtype_from_name(std::string_view name) {
  for (int i = 0; i < 8; ++i)
    if (kRows[i].name == name) return static_cast<DType>(i);
  throw ValueError(
      str("dtype: unknown name '", name, "'; expected one of f32 f64 bf16 f16 u8 i32 i64 bool"));
}

void refuse_dtype(const char* op, DType got, const char* expected) {
  if (got == DType::f16)
    throw DTypeError(str(op, ": f16 is a storage type on the CPU; convert to f32 or bf16"));
  throw DTypeError(str(op, ": ", expected, " expected, got ", got));
}

void refuse_dtype(const char* op, DType got, const DType* expected, int count) {
  std::string list;
  for (int i = 0; i < count; ++i)
    list += str(i == 0 ? "" : i + 1 < count ? ", " : " or ", expected[i]);
  refuse_dtype(op, got, list.c_str());
}

float to_float(bfloat16 x) { return std::bit_cast<float>(static_cast<uint32_t>(x.bits) << 16); }

bfloat16 to_bfloat16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  if (std::isnan(x)) return {static_cast<uint16_t>((bits >> 16) | 0x40)};  // stay a NaN, made quiet
  bits += 0x7fff + ((bits >> 16) & 1);
  return {static_cast<uint16_t>(bits >> 16)};
}

float to_float(float16 x) {
  uint32_t sign = (x.bits & 0x8000u) << 16, exponent = (x.bits >> 10) & 31,
           mantissa = x.bits & 1023;
  if (exponent == 31) return std::bit_cast<float>(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    float value = std::ldexp(static_cast<float>(mantissa), -24);
    return sign ? -value : value;
  }
  return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

float16 to_float16(float x) {
  uint32_t bits = std::bit_cast<uint32_t>(x);
  auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000);
  float magnitude = std::fabs(x);
  if (std::isnan(x)) return {static_cast<uint16_t>(sign | 0x7e00)};
  if (magnitude >= 65520.0f) return {static_cast<uint16_t>(sign | 0x7c00)};  // rounds to infinity
  if (magnitude < 0x1p-14f)  // subnormal: a multiple of 2^-24; nearbyint rounds half to even
    return {static_cast<uint16_t>(
        sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(magnitude, 24))))};
  uint32_t m = bits & 0x7fffffff;
  m += 0xfff + ((m >> 13) & 1);
  return {static_cast<uint16_t>(sign | ((m - (112u << 23)) >> 13))};
}

double lowest(DType dtype) {
  switch (dtype) {
    case DType::f64: return std::numeric_limits<double>::lowest();
    case DType::f32: return static_cast<double>(std::numeric_limits<float>::lowest());
    case DType::bf16: return -0x1.FEp127;  // f32's would round to -inf
    default: refuse_dtype("lowest", dtype);
  }
}

}  // namespace heed
