// heed_bench [FILTER] [--benchmark_...]: one line a figure, `name value unit`, the median of five
// runs. A benchmark with a counter (such as "tokens/s") prints that under its name, and its time as
// NAME_time; a counter that begins with % is a note: it goes under NAME_share, and the time keeps
// the name.
#include <cstdio>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>
#include <heed/examples/common/program.h>

namespace {

class Lines : public benchmark::BenchmarkReporter {
 public:
  bool ReportContext(const Context&) override { return true; }
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) {
      if (run.run_type == Run::RT_Aggregate && run.aggregate_name != "median") continue;
      if (run.run_type == Run::RT_Iteration && run.repetitions > 1) continue;
      std::string name = run.run_name.function_name;
      if (!run.run_name.args.empty()) name += "/" + run.run_name.args;
      bool named = false;
      for (const auto& [unit, counter] : run.counters) {
        const bool note = unit[0] == '%';
        print(note ? name + "_share" : name, counter.value, unit);
        named = named || !note;
      }
      print_time(named ? name + "_time" : name,
                 run.GetAdjustedRealTime() / benchmark::GetTimeUnitMultiplier(run.time_unit));
    }
  }

 private:
  static void print(const std::string& name, double value, const std::string& unit) {
    std::printf("%-48s %12.5g %s\n", name.c_str(), value, unit.c_str());
    std::fflush(stdout);
  }
  static void print_time(const std::string& name, double seconds) {
    if (seconds >= 1) return print(name, seconds, "s");
    if (seconds >= 1e-3) return print(name, seconds * 1e3, "ms");
    if (seconds >= 1e-6) return print(name, seconds * 1e6, "us");
    print(name, seconds * 1e9, "ns");
  }
};

}  // namespace

int main(int argc, char** argv) {
  std::vector<std::string> words = {argv[0], "--benchmark_repetitions=5",
                                    "--benchmark_min_time=0.2"};
  for (int i = 1; i < argc; ++i) {
    std::string word = argv[i];
    if (!word.empty()) words.push_back(word[0] == '-' ? word : "--benchmark_filter=" + word);
  }
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  int count = static_cast<int>(pointers.size());
  benchmark::Initialize(&count, pointers.data());
  if (benchmark::ReportUnrecognizedArguments(count, pointers.data())) return 1;
  return heed::examples::run_program("heed_bench", [] {
    Lines lines;
    return benchmark::RunSpecifiedBenchmarks(&lines) == 0 ? 1 : 0;
  });
}
