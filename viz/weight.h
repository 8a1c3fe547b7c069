// Inside viz: one weight of an attention map, whatever floating type it has.
#pragma once

#include <heed/core/array.h>

namespace heed::viz {

// The element `at` elements behind the first; DTypeError unless f32, f64 or bf16.
inline double weight_at(const Array& a, int64_t at) {
  switch (a.dtype()) {
    case DType::f64: return a.data<double>()[at];
    case DType::f32: return a.data<float>()[at];
    case DType::bf16: return to_float(a.data<bfloat16>()[at]);
    default: refuse_dtype("attention weights", a.dtype());
  }
}

}  // namespace heed::viz
