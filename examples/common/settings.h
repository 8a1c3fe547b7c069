// Settings of a training program. Each is named once: as a flag, as a field of a checkpoint's
// config.json, and in messages. Where a value comes from, in this order: the command line, the run
// that is resumed, the defaults.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <heed/core/error.h>
#include <heed/models/config_json.h>
#include <heed/train/checkpoint.h>

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

inline bool given(const Settings& settings, std::string_view name) {
  return std::any_of(settings.begin(), settings.end(),
                     [&](const Setting& s) { return s.name == name && s.given; });
}

// Those that a checkpoint keeps.
inline Settings stored(Settings settings) {
  std::erase_if(settings, [](const Setting& s) {
    return s.name == "out" || s.name == "resume" || s.name == "replan" || s.name == "quiet";
  });
  return settings;
}

inline models::ConfigFields config_fields(const Settings& settings) {
  models::ConfigFields fields;
  for (const Setting& s : settings) fields.emplace_back(s.name, s.value);
  return fields;
}

inline std::string to_string(const models::ConfigValue& value) {
  return std::visit(
      [](auto* v) {
        using T = std::decay_t<decltype(*v)>;
        if constexpr (std::is_same_v<T, std::optional<double>>) {
          return *v ? str(**v) : std::string("none");
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          std::string list;
          for (int64_t number : *v) list += (list.empty() ? "" : ",") + std::to_string(number);
          return list;
        } else {
          return str(*v);
        }
      },
      value);
}

inline void assign(const models::ConfigValue& to, const models::ConfigValue& from) {
  std::visit([&](auto* v) { *v = *std::get<decltype(v)>(from); }, to);
}

// ValueError where the command line contradicts the run that is to go on.
inline void check_same_run(const Settings& settings, const Settings& run_settings,
                           const std::string& run) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const Setting& s = settings[i];
    std::string now = to_string(s.value), then = to_string(run_settings[i].value);
    if (s.given && s.fixed && now != then)
      throw ValueError(str("--", s.name, " ", now, ": the run in ", run, " has ", then,
                           ", and --resume goes on with that run"));
  }
}

// What the command line did not give comes from `defaults`, the same settings of another struct.
inline void fill(const Settings& settings, const Settings& defaults) {
  for (size_t i = 0; i < settings.size(); ++i)
    if (!settings[i].given) assign(settings[i].value, defaults[i].value);
}

// Steps in so many epochs, whose batches count(epoch) tells: the sum for the first hundred, at that
// rate from there on (epochs differ by a batch or two, and to count them is to plan them).
template <class Count>
int64_t planned_steps(int64_t epochs, int64_t accumulate, Count&& count) {
  int64_t counted = std::min<int64_t>(epochs, 100), steps = 0;
  for (int64_t e = 0; e < counted; ++e) steps += (count(e) + accumulate - 1) / accumulate;
  return counted == epochs ? steps : steps / counted * epochs;
}

// A checkpoint's config.json: the model's, and the program's settings beside it.
inline std::string run_config(std::string_view model_json, const Settings& settings) {
  return models::add_section(model_json, "training", config_fields(stored(settings)));
}

// Turns `defaults` into the settings of the run whose last checkpoint is below `run`.
// check_model(config) throws a ValueError where that is a model of another kind.
template <class CheckModel>
void read_run(const Settings& defaults, const std::string& run, CheckModel&& check_model) {
  std::filesystem::path last = train::find_checkpoint(run);
  std::string config = train::read_config(last);
  try {
    check_model(config);
    models::read_section(config, "training", config_fields(stored(defaults)),
                         {{"checkpoint-activations", "recompute"}});
  } catch (const ValueError& error) {
    throw ValueError(str(last.string(), ": ", error.what()));
  }
}

}  // namespace heed::examples
