// What --help says of defaults that depend on other settings.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "settings.h"

namespace heed::examples {

// "none" where nothing is set.
inline std::string default_text(const models::ConfigValue& value) {
  if (const auto* flag = std::get_if<bool*>(&value)) return **flag ? "on" : "off";
  std::string text = to_string(value);
  return text.empty() ? "none" : text;
}

// A text for each setting: "0.1; vit: 0.002; shapes, clips: 0.003" where `sets`, the program's
// defaults by name, differ: first the value of the first set, which also holds where none is named.
template <class AllSettings>
std::vector<std::string> default_texts(std::vector<std::pair<std::string, AllSettings>> sets) {
  std::vector<Settings> values;
  for (auto& [name, set] : sets) values.push_back(settings_of(set));
  std::vector<std::string> texts;
  for (size_t i = 0; i < values.front().size(); ++i) {
    std::vector<std::pair<std::string, std::string>> groups;  // value, names
    for (size_t k = 0; k < sets.size(); ++k) {
      std::string value = default_text(values[k][i].value);
      auto same = std::find_if(groups.begin(), groups.end(),
                               [&](const auto& group) { return group.first == value; });
      if (same == groups.end()) groups.emplace_back(value, sets[k].first);
      else same->second += ", " + sets[k].first;
    }
    std::string text = groups[0].first;
    for (size_t g = 1; g < groups.size(); ++g)
      text += "; " + groups[g].second + ": " + groups[g].first;
    if (text == "none" || text == "off") text = "";  // which the help says in its words
    texts.push_back(text);
  }
  return texts;
}

}  // namespace heed::examples
