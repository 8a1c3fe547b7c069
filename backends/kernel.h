// The one dispatch mechanism. A contract header declares a kernel by its signature:
//
//   HEED_KERNEL(softmax, void(const Array& x, int axis, const Array& out));
//
// and backends/cpu/softmax.cpp, compiled once per instruction-set level, defines
//
//   namespace heed::kernels::HEED_ISA_NAMESPACE {
//   void softmax(const Array& x, int axis, const Array& out) {...}
//   }
//
// Callers write `kernels::softmax(x, axis, out)`. It runs on the device of the arrays among the
// arguments (backends/device_dispatch.h), at the instruction-set level picked at run time. A kernel
// that a built level lacks is a link error. HEED_KERNEL_ONCE is for kernels whose speed does not
// depend on the level (backends/cpu/common/, namespace heed::kernels::common).
//
// Rules for all kernels:
//   - The caller allocates outputs; kernels overwrite them.
//   - An output may be the same array as an input only where the contract says so.
//   - Inputs may be strided unless the contract says contiguous.
//   - No code compiled above the baseline level may end up in inline functions that other files
//     share.
#pragma once

#include <heed/backends/device_dispatch.h>
#include <heed/core/array.h>

namespace heed {

enum class IsaLevel { baseline, avx2, avx512 };
// The best level that was built and that this processor supports, or HEED_ISA's (ValueError if it
// is not available).
IsaLevel isa_level();
void set_isa_level(IsaLevel level);
bool isa_available(IsaLevel level);  // built, and this processor has it
bool cpu_supports(IsaLevel level);   // this processor has it
const char* to_string(IsaLevel level);

namespace kernels {

template <class Signature>
struct Kernel;
template <class R, class... A>
struct Kernel<R(A...)> {
  const char* name;
  R (*levels[3])(A...);
  R operator()(A... args) const {
    auto* on_cpu = levels[static_cast<int>(isa_level())];
    if ((... && all_on_cpu(args))) [[likely]]
      return on_cpu(static_cast<A>(args)...);
    require_cpu_kernels(common_device(name, args...), name);
    return on_cpu(host_argument(args)...);
  }
};

}  // namespace kernels
}  // namespace heed

// Levels that were not built (CMake's HEED_CPU_LEVELS) have no entry.
#ifdef HEED_LEVEL_baseline
#define HEED_AT_BASELINE(name) &baseline::name
#else
#define HEED_AT_BASELINE(name) nullptr
#endif
#ifdef HEED_LEVEL_avx2
#define HEED_AT_AVX2(name) &avx2::name
#else
#define HEED_AT_AVX2(name) nullptr
#endif
#ifdef HEED_LEVEL_avx512
#define HEED_AT_AVX512(name) &avx512::name
#else
#define HEED_AT_AVX512(name) nullptr
#endif

#define HEED_KERNEL(name, ...)                                                    \
  namespace heed::kernels {                                                       \
  using name##_signature = __VA_ARGS__;                                           \
  namespace baseline {                                                            \
  name##_signature name;                                                          \
  }                                                                               \
  namespace avx2 {                                                                \
  name##_signature name;                                                          \
  }                                                                               \
  namespace avx512 {                                                              \
  name##_signature name;                                                          \
  }                                                                               \
  inline constexpr Kernel<name##_signature> name{                                 \
      #name, {HEED_AT_BASELINE(name), HEED_AT_AVX2(name), HEED_AT_AVX512(name)}}; \
  }                                                                               \
  static_assert(true)

#define HEED_KERNEL_ONCE(name, ...)                                                              \
  namespace heed::kernels {                                                                      \
  using name##_signature = __VA_ARGS__;                                                          \
  namespace common {                                                                             \
  name##_signature name;                                                                         \
  }                                                                                              \
  inline constexpr Kernel<name##_signature> name{#name,                                          \
                                                 {&common::name, &common::name, &common::name}}; \
  }                                                                                              \
  static_assert(true)
