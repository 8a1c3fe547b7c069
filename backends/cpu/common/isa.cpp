#include <atomic>
#include <string>

#include <heed/backends/kernel.h>
#include <heed/core/config.h>
#include <heed/core/error.h>

namespace heed {
namespace {

IsaLevel best() {
  if (isa_available(IsaLevel::avx512)) return IsaLevel::avx512;
  return isa_available(IsaLevel::avx2) ? IsaLevel::avx2 : IsaLevel::baseline;
}

IsaLevel from_environment() {
  add_config("instruction set", [] { return std::string(to_string(isa_level())); });
  std::string name = env_choice("HEED_ISA", {"baseline", "avx2", "avx512"}, to_string(best()));
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512})
    if (name == to_string(level)) {
      if (!isa_available(level))
        throw ValueError(str("HEED_ISA: this processor has no ", name, "; its best level is ",
                             to_string(best())));
      return level;
    }
  return IsaLevel::baseline;
}

std::atomic<int> current{-1};

}  // namespace

bool isa_available(IsaLevel level) {
#if defined(HEED_CPU_LEVELS_X86)
  switch (level) {
    case IsaLevel::baseline:
      return true;
    case IsaLevel::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case IsaLevel::avx512:
      return isa_available(IsaLevel::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
  }
#endif
  return level == IsaLevel::baseline;
}

const char* to_string(IsaLevel level) {
  return level == IsaLevel::avx512 ? "avx512" : level == IsaLevel::avx2 ? "avx2" : "baseline";
}

IsaLevel isa_level() {
  int level = current.load(std::memory_order_relaxed);
  if (level < 0) current = level = static_cast<int>(from_environment());
  return static_cast<IsaLevel>(level);
}

void set_isa_level(IsaLevel level) {
  if (!isa_available(level))
    throw ValueError(str("set_isa_level: this processor has no ", to_string(level)));
  isa_level();
  current = static_cast<int>(level);
}

}  // namespace heed
