#include <heed/core/dtype.h>

#include <cmath>
#include <limits>

#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("bf16 and f16: every bit pattern survives a round trip through f32") {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    auto b = static_cast<uint16_t>(bits);
    float from_bf16 = to_float(bfloat16{b}), from_f16 = to_float(float16{b});
    if (std::isnan(from_bf16)) REQUIRE(std::isnan(to_float(to_bfloat16(from_bf16))));
    else REQUIRE(to_bfloat16(from_bf16).bits == b);
    if (std::isnan(from_f16)) REQUIRE(std::isnan(to_float(to_float16(from_f16))));
    else REQUIRE(to_float16(from_f16).bits == b);
  }
}

TEST_CASE("halves round to nearest, ties to even") {
  REQUIRE(to_float(to_float16(1 + 0x1p-11f)) == 1);                // tie: down to even
  REQUIRE(to_float(to_float16(1 + 3 * 0x1p-11f)) == 1 + 0x1p-9f);  // tie: up to even
  REQUIRE(to_float(to_float16(1 + 0x1.1p-11f)) == 1 + 0x1p-10f);
  REQUIRE(to_float(to_float16(65519.f)) == 65504);
  REQUIRE(std::isinf(to_float(to_float16(65520.f))));
  REQUIRE(to_float(to_float16(0x1p-25f)) == 0);  // tie at half the least subnormal
  REQUIRE(to_float(to_float16(0x1.8p-25f)) == 0x1p-24f);
  REQUIRE(to_float(to_bfloat16(1 + 0x1p-8f)) == 1);
  REQUIRE(to_float(to_bfloat16(1 + 3 * 0x1p-8f)) == 1 + 0x1p-6f);
  REQUIRE(std::isinf(to_float(to_bfloat16(std::numeric_limits<float>::max()))));
  REQUIRE(std::signbit(to_float(to_float16(-0.f))));
}

TEST_CASE("names of dtypes") {
  for (DType d : {DType::f32, DType::f64, DType::bf16, DType::f16, DType::u8, DType::i32,
                  DType::i64, DType::boolean})
    REQUIRE(dtype_from_name(to_string(d)) == d);
  REQUIRE_THROWS_SAYING(dtype_from_name("float"), ValueError, "expected one of f32");
}
