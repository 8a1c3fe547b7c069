// Checks of command-line values. Each throws a ValueError that names the flag, its value and what
// is allowed.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <string>
#include <vector>

#include <heed/core/error.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>

namespace heed::examples {

inline void require(bool good, const std::string& what) {
  if (!good) throw ValueError(what);
}

inline void require_one_of(const char* flag, const std::string& value,
                           const std::vector<std::string>& allowed) {
  std::string list;
  for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
  bool good = std::find(allowed.begin(), allowed.end(), value) != allowed.end();
  require(good, str(flag, " ", value, ": one of ", list, " expected"));
}

struct WholeNumber {
  const char* flag;
  int64_t value, low, high = 1'000'000'000;
};
inline void require_in_range(std::initializer_list<WholeNumber> numbers) {
  for (const auto& [flag, value, low, high] : numbers) {
    require(value >= low, str(flag, " ", value, ": at least ", low, " expected"));
    require(value <= high, str(flag, " ", value, ": at most ", high, " expected"));
  }
}
inline constexpr int64_t kAnyHigh = std::numeric_limits<int64_t>::max();

struct RealNumber {
  const char* flag;
  double value;
};
inline void require_probability(std::initializer_list<RealNumber> numbers) {
  for (const auto& [flag, value] : numbers)
    require(value >= 0 && value < 1, str(flag, " ", value, ": 0 <= value < 1 expected"));
}
inline void require_not_negative(std::initializer_list<RealNumber> numbers) {
  for (const auto& [flag, value] : numbers)
    require(std::isfinite(value) && value >= 0,
            str(flag, " ", value, ": a finite number of at least 0 expected"));
}
inline void require_positive(const char* flag, double value) {
  require(std::isfinite(value) && value > 0, str(flag, " ", value, ": a number above 0 expected"));
}

// 0: as many as there are.
inline void set_threads(int64_t threads) {
  if (threads == 0) return;
  require(threads >= 1 && threads <= 1024,
          str("--threads ", threads, ": 1 to 1024 expected, or 0 for all"));
  set_num_threads(static_cast<int>(threads));
}

// Tensors of the default device may take so many MiB; more is an OutOfMemoryError. 0: no limit.
constexpr int64_t kMostMebibytes = int64_t{1} << 40;
inline void limit_memory(int64_t mebibytes) { set_memory_limit(mebibytes << 20); }

}  // namespace heed::examples
