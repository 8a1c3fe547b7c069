// The most memory that a training step keeps, as the system sees it (Linux). peers/timing.py
// measures the same way.
#pragma once

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
  throw ValueError("/proc/self/status: no " + field);
}

// make() builds model and optimizer and returns their step. The counter is the highest resident
// size during building and three steps, above the size before.
inline void measure_peak(benchmark::State& state,
                         const std::function<std::function<void()>()>& make) {
  double mebibytes = 0;
  for (auto _ : state) {
    release_cached_memory();
    std::ofstream("/proc/self/clear_refs") << 5;  // forgets the highest size so far
    const double before = mebibytes_of("VmRSS");
    std::function<void()> step = make();
    for (int i = 0; i < 3; ++i) step();
    mebibytes = mebibytes_of("VmHWM") - before;
  }
  state.counters["MiB"] = mebibytes;
}

}  // namespace heed
