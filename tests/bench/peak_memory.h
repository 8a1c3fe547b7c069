// The most memory that a training step takes, as the system sees it (Linux), without the pages of
// programs and libraries. peers/timing.py measures the same way.
#pragma once

#include <malloc.h>

#include <fstream>
#include <functional>
#include <string>

#include <benchmark/benchmark.h>
#include <heed/core/error.h>
#include <heed/core/memory.h>

namespace heed {

inline double mebibytes_of(const std::string& field) {  // of /proc/self/status
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == field + ":") {
      double kibibytes = 0;
      status >> kibibytes;
      return kibibytes / 1024;
    }
  throw IoError("/proc/self/status: no " + field);
}

// make() builds model and optimizer and returns their step. The counter is the highest resident
// size during building and three steps, above the size before, of memory that belongs to no file.
inline void measure_peak(benchmark::State& state,
                         const std::function<std::function<void()>()>& make) {
  double mebibytes = 0;
  for (auto _ : state) {
    release_cached_memory();
    malloc_trim(0);  // or what earlier runs left in the C library would be used again, uncounted
    std::ofstream forget("/proc/self/clear_refs");
    forget << 5 << std::flush;  // the highest size so far
    if (!forget) throw IoError("/proc/self/clear_refs: cannot be written");
    const double before = mebibytes_of("RssAnon");
    std::function<void()> step = make();
    for (int i = 0; i < 3; ++i) step();
    mebibytes = mebibytes_of("VmHWM") - mebibytes_of("RssFile") - before;
  }
  state.counters["MiB"] = mebibytes;
}

}  // namespace heed
