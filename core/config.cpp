#include <heed/core/config.h>

#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <heed/core/device_memory.h>
#include <heed/core/error.h>

namespace heed {
namespace {

LogHandler handler = nullptr;

LogLevel log_level() {
  std::string name = env_choice("HEED_LOG", {"quiet", "info", "debug"}, "info");
  return name == "quiet" ? LogLevel::quiet : name == "info" ? LogLevel::info : LogLevel::debug;
}

}  // namespace

void set_log_handler(LogHandler h) { handler = h; }

void log(LogLevel level, std::string_view message) {
  if (level > log_level()) return;
  if (handler) return handler(level, message);
  std::fprintf(stderr, "heed: %.*s\n", static_cast<int>(message.size()), message.data());
}

std::string env_choice(const char* name, std::initializer_list<const char*> allowed,
                       const char* fallback) {
  const char* value = std::getenv(name);
  if (!value || !*value) return fallback;
  std::string list;
  for (const char* choice : allowed) {
    if (std::strcmp(choice, value) == 0) return value;
    list += str(list.empty() ? "" : ", ", choice);
  }
  throw ValueError(str(name, ": '", value, "' is not one of: ", list));
}

int64_t env_integer(const char* name, int64_t low, int64_t high, int64_t fallback) {
  const char* value = std::getenv(name);
  if (!value || !*value) return fallback;
  int64_t number = 0;
  const char* end = value + std::strlen(value);
  auto [stop, error] = std::from_chars(value, end, number);
  if (error != std::errc() || stop != end || number < low || number > high)
    throw ValueError(str(name, ": '", value, "' is not an integer from ", low, " to ", high));
  return number;
}

void check_environment() {
  env_choice("HEED_ISA", {"baseline", "avx2", "avx512"}, "");
  env_integer("HEED_THREADS", 1, 1024, 1);
  if (env_choice("HEED_DEVICE", {"cpu", "cuda"}, "cpu") == "cuda" &&
      !has_device({Device::Type::cuda}))
    throw ValueError(
        "HEED_DEVICE: 'cuda', but this build of heed has no CUDA kernels: cpu expected");
  env_choice("HEED_LOG", {"quiet", "info", "debug"}, "info");
  env_choice("HEED_BLAS_SETUP", {"0", "1"}, "1");
}

}  // namespace heed
