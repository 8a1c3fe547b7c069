// Settings of an attention variant from a spec string `name:key=value,key=value`.
//
//   auto [name, options] = parse_spec("nystrom:landmarks=32");
//   int64_t m = options.integer("landmarks", 64, 1);   // default 64, at least 1
//
// A variant has the options that its constructor reads, so there is no list of them to maintain.
// Afterwards make_attention refuses an option of the spec that was not read, a misspelt one, say;
// the error lists those that were.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace heed::nn {

class Options {
 public:
  Options() = default;
  explicit Options(std::string variant) : variant_(std::move(variant)) {}
  void set(const std::string& key, const std::string& value);  // ValueError on a repeated key
  bool has(const std::string& key) const;                      // given? (counts as reading it)

  // The value or the fallback. ValueError names the variant, the value and what is allowed.
  int64_t integer(const std::string& key, int64_t fallback,
                  int64_t low = std::numeric_limits<int64_t>::min(),
                  int64_t high = std::numeric_limits<int64_t>::max()) const;
  double number(const std::string& key, double fallback,
                double low = -std::numeric_limits<double>::infinity(),
                double high = std::numeric_limits<double>::infinity()) const;
  bool flag(const std::string& key, bool fallback) const;  // true, false, 1, 0, on, off
  std::string choice(const std::string& key, const std::string& fallback,
                     const std::vector<std::string>& allowed) const;
  std::string text(const std::string& key, const std::string& fallback) const;

  void check_known() const;  // ValueError if an option was given that nobody has read
  const std::string& variant() const { return variant_; }
  std::string to_string() const;  // "key=value,key=value", sorted

 private:
  const std::string* find(const std::string& key, const std::string& kind) const;
  [[noreturn]] void refuse(const std::string& key, const std::string& value,
                           const std::string& allowed) const;
  std::string variant_;
  std::map<std::string, std::string> values_;
  // key -> what it takes; shared by copies, so that the catalogue sees what the variant read.
  std::shared_ptr<std::map<std::string, std::string>> known_ =
      std::make_shared<std::map<std::string, std::string>>();
};

struct AttentionSpec {
  std::string name;
  Options options;
};
AttentionSpec parse_spec(const std::string& spec);  // ValueError names the spec and the faulty part

}  // namespace heed::nn
