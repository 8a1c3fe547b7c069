// Settings of a training program. Each is named once: as a flag, as a field of a checkpoint's
// config.json, and in messages. Where a value comes from, in this order: the command line, the run
// that is resumed, the defaults.
#pragma once

#include <string>
#include <vector>

#include <heed/core/error.h>
#include <heed/models/config_json.h>

namespace heed::examples {

struct Setting {
  std::string name;           // "max-tokens" is the flag --max-tokens
  models::ConfigValue value;  // where it is kept
  std::string help;
  bool fixed = true;   // part of what a run computes, so a resumed run cannot change it
  std::string off{};   // the flag that turns it off: "post-norm"
  bool given = false;  // on the command line
};
using Settings = std::vector<Setting>;

inline models::ConfigFields config_fields(const Settings& settings) {
  models::ConfigFields fields;
  for (const Setting& s : settings) fields.emplace_back(s.name, s.value);
  return fields;
}

inline std::string to_string(const models::ConfigValue& value) {
  return std::visit(
      [](auto* v) {
        if constexpr (std::is_same_v<std::decay_t<decltype(*v)>, std::optional<double>>)
          return *v ? str(**v) : std::string("none");
        else return str(*v);
      },
      value);
}

inline void assign(const models::ConfigValue& to, const models::ConfigValue& from) {
  std::visit([&](auto* v) { *v = *std::get<decltype(v)>(from); }, to);
}

// What the command line did not give comes from `others`, the same settings of another struct.
inline void fill(const Settings& settings, const Settings& others) {
  for (size_t i = 0; i < settings.size(); ++i)
    if (!settings[i].given) assign(settings[i].value, others[i].value);
}

// ValueError where the command line contradicts the run that is to go on.
inline void check_same_run(const Settings& settings, const Settings& stored,
                           const std::string& run) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const Setting& s = settings[i];
    std::string now = to_string(s.value), then = to_string(stored[i].value);
    if (s.given && s.fixed && now != then)
      throw ValueError(str("--", s.name, " ", now, ": the run in ", run, " has ", then,
                           ", and --resume goes on with that run"));
  }
}

}  // namespace heed::examples
