// A log of metrics: one JSON object a line (JSONL), handed to the system at each line, so that a
// killed run loses none but the last.
//
//   MetricLog log("run/metrics.jsonl");
//   log.write({{"kind", "train"}, {"step", step}, {"loss", loss}});
//   // {"kind":"train","step":10,"loss":2.31}
#pragma once

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace heed::train {

// A boolean, an integer, a number or a text.
struct MetricValue {
  enum class Kind { boolean, integer, number, text };
  template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>>
  MetricValue(T value) {
    constexpr bool is_integer = std::is_integral_v<T>;
    kind = std::is_same_v<T, bool> ? Kind::boolean : is_integer ? Kind::integer : Kind::number;
    if constexpr (is_integer) integer = static_cast<int64_t>(value);
    else number = static_cast<double>(value);
  }
  MetricValue(const char* value) : kind(Kind::text), text(value) {}
  MetricValue(std::string value) : kind(Kind::text), text(std::move(value)) {}

  Kind kind;
  int64_t integer = 0;  // boolean too
  double number = 0;
  std::string text;
};

class MetricLog {
 public:
  using Fields = std::vector<std::pair<std::string, MetricValue>>;
  MetricLog() = default;  // writes nowhere
  // Appends. A partial last line (a killed run's) is cut off, and so is everything from the first
  // line on whose "step" is above `keep_to_step`: a run that goes on writes those again. Where that
  // step's evaluation is still due, its lines of other kinds than "train" go as well.
  explicit MetricLog(std::string file, int64_t keep_to_step = std::numeric_limits<int64_t>::max(),
                     bool evaluation_due = false);
  ~MetricLog();
  MetricLog(MetricLog&& other) noexcept;
  MetricLog& operator=(MetricLog&& other) noexcept;

  void write(const Fields& fields);  // numbers that are not finite become null; IoError

 private:
  std::string file_;
  int descriptor_ = -1;
};

// The numbers of each line, for plots; other fields and a partial last line are left out. IoError
// names the line that is no JSON object.
std::vector<std::map<std::string, double>> read_metrics(const std::string& file);

}  // namespace heed::train
