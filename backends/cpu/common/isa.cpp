#if defined(__x86_64__)
#include <cpuid.h>
#endif

#include <atomic>
#include <string>

#include <heed/backends/kernel.h>
#include <heed/core/config.h>
#include <heed/core/error.h>

namespace heed {
namespace {

constexpr IsaLevel kLevels[] = {IsaLevel::avx512, IsaLevel::avx2, IsaLevel::baseline};

bool is_built(IsaLevel level) {
#ifdef HEED_LEVEL_baseline
  if (level == IsaLevel::baseline) return true;
#endif
#ifdef HEED_LEVEL_avx2
  if (level == IsaLevel::avx2) return true;
#endif
#ifdef HEED_LEVEL_avx512
  if (level == IsaLevel::avx512) return true;
#endif
  return false;
}

IsaLevel best() {
  for (IsaLevel level : kLevels)
    if (isa_available(level)) return level;
  throw DeviceError(
      "heed was built for instruction sets that this processor lacks: "
      "configure it with -DHEED_CPU_LEVELS=baseline");
}

void require_available(const char* who, IsaLevel level) {
  if (!cpu_supports(level))
    throw ValueError(str(who, ": this processor has no ", to_string(level), "; its best level is ",
                         to_string(best())));
  if (!is_built(level))
    throw ValueError(str(who, ": this build of heed has no ", to_string(level),
                         " kernels; its best level here is ", to_string(best())));
}

IsaLevel from_environment() {
  check_environment();
  std::string name = env_choice("HEED_ISA", {"baseline", "avx2", "avx512"}, to_string(best()));
  for (IsaLevel level : kLevels)
    if (name == to_string(level)) {
      require_available("HEED_ISA", level);
      return level;
    }
  return best();
}

std::atomic<int> current{-1};

#if defined(__x86_64__)
bool has_f16c() {  // clang 14 does not know __builtin_cpu_supports("f16c")
  unsigned a, b, c, d;
  return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}
#endif

}  // namespace

bool cpu_supports(IsaLevel level) {
#if defined(__x86_64__)
  switch (level) {
    case IsaLevel::baseline: return true;
    case IsaLevel::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case IsaLevel::avx512:
      return cpu_supports(IsaLevel::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
  }
#endif
  return level == IsaLevel::baseline;
}

bool isa_available(IsaLevel level) { return is_built(level) && cpu_supports(level); }

const char* to_string(IsaLevel level) {
  return level == IsaLevel::avx512 ? "avx512" : level == IsaLevel::avx2 ? "avx2" : "baseline";
}

IsaLevel isa_level() {
  int level = current.load(std::memory_order_relaxed);
  if (level < 0) current = level = static_cast<int>(from_environment());
  return static_cast<IsaLevel>(level);
}

void set_isa_level(IsaLevel level) {
  require_available("set_isa_level", level);
  isa_level();
  current = static_cast<int>(level);
}

}  // namespace heed
