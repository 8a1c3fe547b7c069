// From an element type at run time to a C++ type. A type that a kernel does not support is a
// DTypeError. Each file that includes this compiles it into its own namespace: that of its
// instruction-set level, or `common`.
//
//   dispatch_floating("softmax", x.dtype(), [&](auto type) { run<decltype(type)>(x, out); });
#pragma once

#include <heed/core/dtype.h>

#ifdef HEED_ISA_NAMESPACE
#define HEED_KERNEL_NAMESPACE HEED_ISA_NAMESPACE
#else
#define HEED_KERNEL_NAMESPACE common
#endif

namespace heed::kernels::HEED_KERNEL_NAMESPACE {

// The type that kernels compute in for numbers of type S. Long sums continue in double.
template <class S>
struct Accumulate {
  using type = S;
};
template <>
struct Accumulate<bfloat16> {
  using type = float;
};
template <class S>
using accumulate_t = typename Accumulate<S>::type;

// The type of long sums: double for floating numbers; whole numbers wrap in an unsigned one,
// without undefined behaviour.
template <class S>
struct Sum {
  using type = double;
};
template <>
struct Sum<int32_t> {
  using type = uint64_t;
};
template <>
struct Sum<int64_t> {
  using type = uint64_t;
};
template <class S>
using sum_t = typename Sum<S>::type;

// f(T()) for the one of `Types` that `dtype` names.
template <class... Types, class F>
inline __attribute__((always_inline)) void dispatch_types(const char* op, DType dtype, F f) {
  bool found = false;
  auto attempt = [&](auto type) {
    constexpr DType own = dtype_of<decltype(type)>();
    if (dtype != own) return;
    found = true;
    f(type);
  };
  (attempt(Types()), ...);
  constexpr DType known[] = {dtype_of<Types>()...};
  if (!found) refuse_dtype(op, dtype, known, sizeof...(Types));
}

// Kernels that support bf16 directly.
template <class F>
inline __attribute__((always_inline)) void dispatch_floating(const char* op, DType dtype, F f) {
  dispatch_types<float, double, bfloat16>(op, dtype, f);
}
// Large kernels, compiled for f32 and f64 alone: bf16 arrives as a copy in f32 (widen.h).
template <class F>
inline __attribute__((always_inline)) void dispatch_wide(const char* op, DType dtype, F f) {
  dispatch_types<float, double>(op, dtype, f);
}

}  // namespace heed::kernels::HEED_KERNEL_NAMESPACE
