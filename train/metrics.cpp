#include <heed/train/metrics.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>

#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/train/files.h>

namespace heed::train {

namespace {
using Json = nlohmann::ordered_json;

// Calls `use(line number, begin, line)` for each whole line; use returns false to stop.
template <class F>
void for_each_line(const std::string& text, F&& use) {
  int64_t number = 0;
  for (size_t begin = 0, end; (end = text.find('\n', begin)) != text.npos; begin = end + 1)
    if (!use(++number, begin, std::string_view(text).substr(begin, end - begin))) return;
}

Json to_json(const MetricValue& value) {
  switch (value.kind) {
    case MetricValue::Kind::boolean: return value.integer != 0;
    case MetricValue::Kind::integer: return value.integer;
    case MetricValue::Kind::number: return value.number;
    case MetricValue::Kind::text: return value.text;
  }
  return nullptr;
}

// Bytes to keep: whole lines, up to the first that is to be written again.
size_t kept_bytes(const std::string& text, int64_t keep_to_step, bool evaluation_due) {
  size_t last_newline = text.rfind('\n');
  size_t kept = last_newline == text.npos ? 0 : last_newline + 1;
  for_each_line(text, [&](int64_t, size_t begin, std::string_view line) {
    auto json = nlohmann::json::parse(line, nullptr, false);
    bool counted = json.is_object() && json.contains("step") && json["step"].is_number_integer();
    int64_t step = counted ? json["step"].get<int64_t>() : 0;
    bool of_evaluation = evaluation_due && !(json.contains("kind") && json["kind"] == "train");
    bool later = counted && (step > keep_to_step || (step == keep_to_step && of_evaluation));
    if (later) kept = begin;
    return !later;
  });
  return kept;
}
}  // namespace

MetricLog::MetricLog(std::string file, int64_t keep_to_step, bool evaluation_due)
    : file_(std::move(file)) {
  auto fail = [&](const char* what) {
    throw IoError(str(file_, ": ", what, ": ", std::strerror(errno)));
  };
  if (file_exists(file_)) {
    std::string text = read_file(file_);
    if (size_t kept = kept_bytes(text, keep_to_step, evaluation_due); kept < text.size())
      if (::truncate(file_.c_str(), static_cast<off_t>(kept)) != 0) fail("cannot be cut");
  }
  descriptor_ = ::open(file_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (descriptor_ < 0) fail("cannot be opened");
}

MetricLog::~MetricLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}
MetricLog::MetricLog(MetricLog&& other) noexcept
    : file_(std::move(other.file_)), descriptor_(std::exchange(other.descriptor_, -1)) {}
MetricLog& MetricLog::operator=(MetricLog&& other) noexcept {
  std::swap(file_, other.file_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void MetricLog::write(const Fields& fields) {
  if (descriptor_ < 0) return;
  Json json = Json::object();
  for (const auto& [key, value] : fields) json[key] = to_json(value);
  // Bytes that are no UTF-8 are replaced: a log line is no reason to stop.
  std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  for (std::string_view rest = line; !rest.empty();) {
    ssize_t n = ::write(descriptor_, rest.data(), rest.size());
    if (n < 0 && errno != EINTR)
      throw IoError(str(file_, ": cannot be written: ", std::strerror(errno)));
    if (n > 0) rest.remove_prefix(static_cast<size_t>(n));
  }
}

std::vector<std::map<std::string, double>> read_metrics(const std::string& file) {
  std::vector<std::map<std::string, double>> lines;
  for_each_line(read_file(file), [&](int64_t number, size_t, std::string_view line) {
    auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) throw IoError(str(file, ":", number, ": a JSON object expected"));
    auto& numbers = lines.emplace_back();
    for (const auto& [key, value] : json.items())
      if (value.is_number()) numbers[key] = value.get<double>();
    return true;
  });
  return lines;
}

}  // namespace heed::train
