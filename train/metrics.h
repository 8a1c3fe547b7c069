// A log of metrics: one JSON object a line (JSONL), handed to the system at each line, so that a
// killed run loses none but the last.
//
//   MetricLog log("run/metrics.jsonl");
//   log.write({{"kind", "train"}, {"step", step}, {"loss", loss}});
//   // {"kind":"train","step":10,"loss":2.31}
#pragma once

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace heed::train {

class MetricValue {
 public:
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  MetricValue(T value) {
    if constexpr (std::is_same_v<T, bool>) value_ = value;
    else if constexpr (std::is_integral_v<T>) value_ = static_cast<int64_t>(value);
    else value_ = static_cast<double>(value);
  }
  MetricValue(const char* value) : value_(std::string(value)) {}
  MetricValue(std::string value) : value_(std::move(value)) {}
  const auto& get() const { return value_; }

 private:
  std::variant<bool, int64_t, double, std::string> value_;
};

class MetricLog {
 public:
  using Fields = std::vector<std::pair<std::string, MetricValue>>;
  MetricLog() = default;  // writes nowhere
  // Appends. A partial last line (a killed run's) is cut off, and so is everything from the first
  // line on whose "step" is above `keep_to_step`: a run that goes on writes those again.
  explicit MetricLog(std::filesystem::path file,
                     int64_t keep_to_step = std::numeric_limits<int64_t>::max());
  ~MetricLog();
  MetricLog(MetricLog&& other) noexcept;
  MetricLog& operator=(MetricLog&& other) noexcept;

  void write(const Fields& fields);  // numbers that are not finite become null; IoError

 private:
  std::filesystem::path file_;
  int descriptor_ = -1;
};

// The numbers of each line, for plots; other fields and a partial last line are left out. IoError
// names the line that is no JSON object.
std::vector<std::map<std::string, double>> read_metrics(const std::filesystem::path& file);

}  // namespace heed::train
