// Settings as JSON, for config.json of a checkpoint. A list of named pointers says what a struct
// holds, once for both directions:
//
//   ConfigFields fields = {{"width", &config.width}, {"dropout", &config.dropout}};
//   std::string text = write_config("transformer", fields);
//   // {"model": "transformer", "width": 128, "dropout": 0.1}
//   read_config(text, "transformer", fields);   // sets config.width and config.dropout
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace heed::models {

using ConfigValue = std::variant<bool*, int64_t*, double*, std::string*,
                                 std::optional<double>*,  // empty: null
                                 std::vector<int64_t>*>;
using ConfigFields = std::vector<std::pair<std::string, ConfigValue>>;
using RenamedFields = std::vector<std::pair<std::string, std::string>>;  // in older files, and now

// `later`: fields that came to the model after its first files were written.
std::string write_config(const std::string& model, const ConfigFields& fields,
                         const ConfigFields& later = {});
// All of `fields` must be there, and no others but `later`, which keep their value where the file
// lacks them, and sections. ValueError names the field, or says which model it is of.
void read_config(std::string_view text, const std::string& model, const ConfigFields& fields,
                 const ConfigFields& later = {}, const RenamedFields& renamed = {});
std::string config_model(std::string_view text);

// A section is an object beside the model's fields, for whoever has more to keep (a program its
// training settings). Fields that a section lacks keep their value.
std::string add_section(std::string_view text, const std::string& name, const ConfigFields& fields);
void read_section(std::string_view text, const std::string& name, const ConfigFields& fields,
                  const RenamedFields& renamed = {});

}  // namespace heed::models
