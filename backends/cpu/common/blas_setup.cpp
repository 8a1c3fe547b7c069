// OpenBLAS picks its kernels by a list of processor models. On a chip newer than the library it
// falls back silently to SSE2 kernels (0.3.21 on a 2023 Xeon: 77 GFLOP/s, where its AVX-512 kernels
// give 400). So heed asks once which core type it chose. If that is below what the processor
// supports and the user has not set OPENBLAS_CORETYPE, heed restarts OpenBLAS with the right type.
// The symbols are weak, so MKL, BLIS or a static OpenBLAS link too. HEED_BLAS_SETUP=0 turns this
// off, for programs that use BLAS in other threads at that moment.
#include <heed/backends/cpu/blas.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
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

int rank_of(const std::string& core) {  // the widest vectors of OpenBLAS's x86 core types
  for (const char* name : {"SkylakeX", "Cooperlake", "SapphireRapids"})
    if (core == name) return 2;
  for (const char* name : {"Haswell", "Zen", "Excavator"})
    if (core == name) return 1;
  return 0;
}

void mend_core() {
#if defined(__x86_64__)
  if (!openblas_get_corename || !gotoblas_dynamic_init || !gotoblas_dynamic_quit) return;
  const char* chosen = std::getenv("OPENBLAS_CORETYPE");
  if (chosen && *chosen) return;
  int possible = cpu_supports(IsaLevel::avx512) ? 2 : cpu_supports(IsaLevel::avx2) ? 1 : 0;
  std::string before = core_name();
  if (rank_of(before) >= possible) return;
  setenv("OPENBLAS_CORETYPE", possible == 2 ? "SkylakeX" : "Haswell", 1);
  gotoblas_dynamic_quit();
  gotoblas_dynamic_init();
  unsetenv("OPENBLAS_CORETYPE");
  log(LogLevel::info,
      str("OpenBLAS chose the kernels of ", before, "; now those of ", core_name()));
#endif
}

}  // namespace

void setup() {
  static std::once_flag once;
  std::call_once(once, [] {
    if (env_choice("HEED_BLAS_SETUP", {"0", "1"}, "1") == "1") mend_core();
    if (openblas_set_num_threads) openblas_set_num_threads(1);
  });
}

}  // namespace heed::blas
