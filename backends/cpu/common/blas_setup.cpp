// OpenBLAS picks its kernels by a list of processor models. On a chip newer than the library it
// falls back silently to SSE2 kernels (0.3.21 on a 2023 Xeon: 77 GFLOP/s, where its AVX-512 kernels
// give 400). So heed asks once which core type it chose. If that is known to be below what the
// processor supports and the user has not set OPENBLAS_CORETYPE, heed restarts OpenBLAS with the
// right type; a name that heed does not know may be that of a newer core, and is left alone.
// The symbols are weak, so MKL, BLIS or a static OpenBLAS link too. HEED_BLAS_SETUP=0 turns this
// off, for programs that use BLAS in other threads at that moment.
#include <heed/backends/cpu/blas.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <optional>
#include <string>

#include <heed/backends/kernel.h>
#include <heed/core/config.h>
#include <heed/core/error.h>

extern "C" {
__attribute__((weak)) char* openblas_get_corename(void);
__attribute__((weak)) void openblas_set_num_threads(int);
__attribute__((weak)) void gotoblas_dynamic_init(void);
__attribute__((weak)) void gotoblas_dynamic_quit(void);
}

namespace heed::blas {

std::string core_name() {
  return openblas_get_corename ? openblas_get_corename() : "unknown library";
}

namespace {

std::optional<IsaLevel> level_of(const std::string& core) {  // of OpenBLAS's x86 core types
  for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    if (core == name) return IsaLevel::avx512;
  for (const char* name : {"Haswell", "Zen", "Excavator"})
    if (core == name) return IsaLevel::avx2;
  for (const char* name : {"Katmai",      "Coppermine", "Northwood", "Prescott",     "Banias",
                           "Atom",        "Core2",      "Penryn",    "Dunnington",   "Nehalem",
                           "Sandybridge", "Athlon",     "Opteron",   "Opteron_SSE3", "Barcelona",
                           "Nano",        "Bobcat",     "Bulldozer", "Piledriver",   "Steamroller"})
    if (core == name) return IsaLevel::baseline;
  return std::nullopt;
}

#if defined(__x86_64__)
void restart(const char* core) {
  setenv("OPENBLAS_CORETYPE", core, 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv("OPENBLAS_CORETYPE");
}
#endif

}  // namespace

void mend_core(std::string (*core)(), void (*restart)(const char*), IsaLevel possible) {
  const char* chosen = std::getenv("OPENBLAS_CORETYPE");
  if (chosen && *chosen) return;
  std::string before = core();
  std::optional<IsaLevel> level = level_of(before);
  if (!level || *level >= possible) return;
  restart(possible == IsaLevel::avx512 ? "SkylakeX" : "Haswell");
  log(LogLevel::info, str("OpenBLAS chose the kernels of ", before, "; now those of ", core()));
}

void setup() {
  static std::once_flag once;
  std::call_once(once, [] {
#if defined(__x86_64__)
    if (env_choice("HEED_BLAS_SETUP", {"0", "1"}, "1") == "1" && openblas_get_corename &&
        gotoblas_dynamic_init && gotoblas_dynamic_quit)
      mend_core(core_name, restart,
                cpu_supports(IsaLevel::avx512) ? IsaLevel::avx512
                : cpu_supports(IsaLevel::avx2) ? IsaLevel::avx2
                                               : IsaLevel::baseline);
#endif
    if (openblas_set_num_threads) openblas_set_num_threads(1);
  });
}

}  // namespace heed::blas
