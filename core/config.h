// Settings from the environment, and one line that says what is in use.
//
//   HEED_ISA         baseline | avx2 | avx512
//   HEED_THREADS     a number
//   HEED_DEVICE      cpu | cuda
//   HEED_LOG         quiet | info | debug
//   HEED_BLAS_SETUP  0 | 1
//
// A bad value is a ValueError that names the variable and what is allowed. All are checked before
// the first kernel runs.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace heed {

enum class LogLevel { quiet, info, debug };
using LogHandler = void (*)(LogLevel level, std::string_view message);
void set_log_handler(LogHandler handler);  // nullptr: stderr
void log(LogLevel level, std::string_view message);

// The variable's value if it is set and one of `allowed`; `fallback` if it is unset.
std::string env_choice(const char* name, std::initializer_list<const char*> allowed,
                       const char* fallback);
int64_t env_integer(const char* name, int64_t low, int64_t high, int64_t fallback);
// Checks every variable above now, instead of at the first kernel.
void check_environment();

// Which device, instruction set, BLAS kernels and threads are in use, one "key = value" per line.
// Sets them up if nothing has used them yet. Defined by the backends, which know them.
std::string config();

}  // namespace heed
