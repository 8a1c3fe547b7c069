#include <heed/nn/attention/options.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>

#include <heed/core/error.h>

namespace heed::nn {

namespace {

std::string between(const std::string& kind, const std::string& low, const std::string& high) {
  if (!low.empty() && !high.empty()) return kind + " from " + low + " to " + high;
  if (!low.empty()) return kind + " >= " + low;
  if (!high.empty()) return kind + " <= " + high;
  return kind;
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

bool is_name(const std::string& text) {
  if (text.empty()) return false;
  for (char c : text)
    if (!(c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')))
      return false;
  return true;
}

}  // namespace

void Options::set(const std::string& key, const std::string& value) {
  if (!values_.emplace(key, value).second)
    throw ValueError(
        str(variant_, ": option '", key, "' is given twice (", values_[key], " and ", value, ")"));
}

const std::string* Options::find(const std::string& key, const std::string& kind) const {
  (*known_)[key] = kind;
  auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

bool Options::has(const std::string& key) const {
  known_->emplace(key, "a value");
  return values_.count(key) > 0;
}

void Options::refuse(const std::string& key, const std::string& value,
                     const std::string& allowed) const {
  throw ValueError(str(variant_, ": option '", key, "' is '", value, "'; allowed: ", allowed));
}

int64_t Options::integer(const std::string& key, int64_t fallback, int64_t low,
                         int64_t high) const {
  using Limits = std::numeric_limits<int64_t>;
  std::string allowed = between("an integer", low == Limits::min() ? "" : std::to_string(low),
                                high == Limits::max() ? "" : std::to_string(high));
  const std::string* text = find(key, allowed);
  if (!text) return fallback;
  errno = 0;
  char* end = nullptr;
  int64_t value = std::strtoll(text->c_str(), &end, 10);
  bool whole = !text->empty() && *end == 0 && errno == 0 && (*text)[0] != ' ';
  if (!whole || value < low || value > high) refuse(key, *text, allowed);
  return value;
}

double Options::number(const std::string& key, double fallback, double low, double high) const {
  std::string allowed =
      between("a number", std::isinf(low) ? "" : str(low), std::isinf(high) ? "" : str(high));
  const std::string* text = find(key, allowed);
  if (!text) return fallback;
  char* end = nullptr;
  double value = std::strtod(text->c_str(), &end);
  bool whole = !text->empty() && *end == 0 && (*text)[0] != ' ' && std::isfinite(value);
  if (!whole || value < low || value > high) refuse(key, *text, allowed);
  return value;
}

bool Options::flag(const std::string& key, bool fallback) const {
  const std::string* text = find(key, "true or false");
  if (!text) return fallback;
  if (*text == "true" || *text == "1" || *text == "on") return true;
  if (*text == "false" || *text == "0" || *text == "off") return false;
  refuse(key, *text, "true or false");
}

std::string Options::choice(const std::string& key, const std::string& fallback,
                            const std::vector<std::string>& allowed) const {
  const std::string* text = find(key, joined(allowed));
  if (!text) return fallback;
  for (const std::string& word : allowed)
    if (*text == word) return word;
  refuse(key, *text, joined(allowed));
}

std::string Options::text(const std::string& key, const std::string& fallback) const {
  const std::string* text = find(key, "text");
  return text ? *text : fallback;
}

void Options::check_known() const {
  for (const auto& [key, value] : values_) {
    if (known_->count(key)) continue;
    std::string list;
    for (const auto& [name, kind] : *known_) list += "\n  " + name + ": " + kind;
    throw ValueError(str(variant_, ": unknown option '", key, "=", value, "'; ",
                         list.empty() ? "there are none" : "there are:" + list));
  }
}

std::string Options::to_string() const {
  std::string out;
  for (const auto& [key, value] : values_) out += (out.empty() ? "" : ",") + key + "=" + value;
  return out;
}

AttentionSpec parse_spec(const std::string& spec) {
  auto fail = [&](const std::string& why) {
    throw ValueError(
        str("attention spec '", spec, "': ", why, "; the form is name:key=value,key=value"));
  };
  size_t colon = spec.find(':');
  std::string name = spec.substr(0, colon);
  if (!is_name(name)) fail(name.empty() ? "the name is missing" : "'" + name + "' is no name");
  AttentionSpec out{name, Options(name)};
  if (colon == std::string::npos) return out;
  for (size_t at = colon + 1;;) {
    size_t comma = spec.find(',', at);
    std::string part = spec.substr(at, comma == std::string::npos ? comma : comma - at);
    size_t equals = part.find('=');
    if (equals == std::string::npos) fail("'" + part + "' is no key=value");
    std::string key = part.substr(0, equals), value = part.substr(equals + 1);
    if (!is_name(key)) fail("'" + part + "' has no key before '='");
    if (value.empty()) fail("'" + part + "' has no value after '='");
    out.options.set(key, value);
    if (comma == std::string::npos) break;
    at = comma + 1;
  }
  return out;
}

}  // namespace heed::nn
