#include <heed/models/config_json.h>

#include <set>

#include <nlohmann/json.hpp>

#include <heed/core/error.h>

namespace heed::models {

namespace {
using Json = nlohmann::ordered_json;

Json parse(std::string_view text) {
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) throw ValueError("config: a JSON object expected");
  return json;
}

Json to_json(const ConfigValue& value) {
  return std::visit(
      [](auto* v) -> Json {
        using T = std::decay_t<decltype(*v)>;
        if constexpr (std::is_same_v<T, std::optional<double>>)
          return v->has_value() ? Json(**v) : Json();
        else return *v;
      },
      value);
}

void set(const ConfigValue& value, const std::string& name, const Json& json) {
  auto require = [&](bool good, const char* what) {
    if (!good) throw ValueError(str("config: ", name, ": ", what, " expected, got ", json.dump()));
  };
  std::visit(
      [&](auto* v) {
        using T = std::decay_t<decltype(*v)>;
        if constexpr (std::is_same_v<T, bool>) {
          require(json.is_boolean(), "true or false");
          *v = json.get<bool>();
        } else if constexpr (std::is_same_v<T, int64_t>) {
          require(json.is_number_integer(), "an integer");
          *v = json.get<int64_t>();
        } else if constexpr (std::is_same_v<T, double>) {
          require(json.is_number(), "a number");
          *v = json.get<double>();
        } else if constexpr (std::is_same_v<T, std::string>) {
          require(json.is_string(), "a string");
          *v = json.get<std::string>();
        } else if constexpr (std::is_same_v<T, std::vector<int64_t>>) {
          require(json.is_array(), "a list of integers");
          for (const Json& entry : json) require(entry.is_number_integer(), "a list of integers");
          *v = json.get<std::vector<int64_t>>();
        } else {
          require(json.is_null() || json.is_number(), "a number or null");
          v->reset();
          if (json.is_number()) *v = json.get<double>();
        }
      },
      value);
}

Json to_object(const ConfigFields& fields) {
  Json json = Json::object();
  for (const auto& [name, value] : fields) json[name] = to_json(value);
  return json;
}

// Where a file holds both names, the old one stays: it is unknown like any other.
void use_new_names(Json& json, const RenamedFields& renamed) {
  for (const auto& [was, is] : renamed) {
    if (!json.contains(was) || json.contains(is)) continue;
    Json value = json[was];
    json.erase(was);
    json[is] = std::move(value);
  }
}
}  // namespace

std::string write_config(const std::string& model, const ConfigFields& fields,
                         const ConfigFields& later) {
  Json json = {{"model", model}};
  json.update(to_object(fields));
  json.update(to_object(later));
  return json.dump(2) + "\n";
}

std::string config_model(std::string_view text) {
  Json json = parse(text);
  if (!json.contains("model") || !json["model"].is_string())
    throw ValueError("config: \"model\" is missing");
  return json["model"].get<std::string>();
}

void read_config(std::string_view text, const std::string& model, const ConfigFields& fields,
                 const ConfigFields& later, const RenamedFields& renamed) {
  if (std::string found = config_model(text); found != model)
    throw ValueError(
        str("config: a checkpoint of model '", model, "' expected, this is one of '", found, "'"));
  Json json = parse(text);
  use_new_names(json, renamed);
  std::set<std::string> known = {"model"};
  for (const auto& [name, value] : fields) {
    known.insert(name);
    if (!json.contains(name))
      throw ValueError(str("config: ", model, ": \"", name, "\" is missing"));
  }
  for (const auto& [name, value] : later) known.insert(name);
  for (const auto& [name, value] : json.items())
    if (!value.is_object() && !known.count(name))
      throw ValueError(str("config: ", model, " has no setting \"", name, "\""));
  for (const auto& [name, value] : fields) set(value, name, json[name]);
  for (const auto& [name, value] : later)
    if (json.contains(name)) set(value, name, json[name]);
}

std::string add_section(std::string_view text, const std::string& name,
                        const ConfigFields& fields) {
  Json json = parse(text);
  json[name] = to_object(fields);
  return json.dump(2) + "\n";
}

void read_section(std::string_view text, const std::string& name, const ConfigFields& fields,
                  const RenamedFields& renamed) {
  Json json = parse(text);
  if (!json.contains(name)) return;
  Json& section = json[name];
  if (!section.is_object()) throw ValueError(str("config: ", name, ": an object expected"));
  use_new_names(section, renamed);
  for (const auto& [field, value] : fields)
    if (section.contains(field)) set(value, name + "." + field, section[field]);
}

}  // namespace heed::models
