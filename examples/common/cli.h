// CLI11 behind three functions; only the programs' main.cpp include it, since it compiles slowly.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <type_traits>
#include <vector>

#include <CLI/CLI.hpp>

#include "program.h"
#include "settings.h"

namespace heed::examples {

// Checks before CLI11 converts: its messages are not for users, and it reads a number that does not
// fit as the largest that does.
template <class T>
std::string number_fault(const std::string& text) {
  T value{};
  const char *begin = text.data(), *end = begin + text.size();
  auto [stop, error] = std::from_chars(begin, end, value);
  if (error == std::errc::result_out_of_range) return "'" + text + "' is too large a number";
  if (error == std::errc() && stop == end) return "";
  return "'" + text + "': " + (std::is_same_v<T, int64_t> ? "a whole number" : "a number") +
         " expected";
}
// An unset variable of a shell script is not taken for "as if the flag were not there".
inline std::string empty_fault(const std::string& text) {
  return text.empty() ? "a value expected, got an empty one" : "";
}

template <class T>
CLI::Option* add_value(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  CLI::Option* option = app.add_option(flag, value, help);
  if constexpr (std::is_same_v<T, int64_t>) option->check(number_fault<int64_t>);
  if constexpr (std::is_same_v<T, double> || std::is_same_v<T, std::optional<double>>)
    option->check(number_fault<double>);
  if constexpr (std::is_same_v<T, std::string>) option->check(empty_fault);
  if constexpr (std::is_same_v<T, std::vector<int64_t>>)  // "1,2,2"
    option->delimiter(',')->allow_extra_args(false)->check(number_fault<int64_t>);
  if constexpr (!std::is_same_v<T, std::vector<int64_t>>) option->capture_default_str();
  return option;
}

// `defaults`: a text for each setting that --help shows (common/defaults.h); without it none.
inline void add_settings(CLI::App& app, const Settings& settings,
                         const std::vector<std::string>& defaults = {}) {
  for (size_t i = 0; i < settings.size(); ++i) {
    const Setting& s = settings[i];
    auto add = [&](auto* v) {
      if constexpr (std::is_same_v<std::decay_t<decltype(*v)>, bool>)
        return app.add_flag("--" + s.name + (s.off.empty() ? "" : ",!--" + s.off), *v, s.help);
      else return add_value(app, "--" + s.name, *v, s.help);
    };
    std::visit(add, s.value)->default_str(defaults.empty() ? "" : defaults[i]);
  }
}

inline void mark_given(const CLI::App& app, Settings& settings) {
  for (Setting& s : settings) s.given = app.count("--" + s.name) > 0;
}

// What is wrong with a command line, in words, and whose help to read.
inline std::string usage_fault(const CLI::App& app, const CLI::ParseError& error) {
  std::string name = app.get_name(), commands, what = error.what();
  std::vector<std::string> rest = app.remaining(/*recurse=*/true);
  auto subs = app.get_subcommands();
  if (subs.empty()) {
    for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
      commands += (commands.empty() ? "one of " : ", ") + sub->get_name();
    if (!commands.empty())
      what = (rest.empty() ? "a command is required" : "there is no command '" + rest[0] + "'") +
             ": " + commands;
  } else {
    name += " " + subs[0]->get_name();
  }
  // CLI11's own texts begin with the option's name.
  std::string option = what.substr(0, what.find(':'));
  if (dynamic_cast<const CLI::ExtrasError*>(&error) && !rest.empty()) {
    what = "unknown:";
    for (const std::string& word : rest) what += " " + word;
  } else if (dynamic_cast<const CLI::ArgumentMismatch*>(&error)) {
    bool missing = what.find("missing") != std::string::npos;
    what = option + (missing ? ": a value is missing" : " is given more than once");
  }
  return what + " (" + name + " --help lists what there is)";
}

// Help goes to stdout with code 0; a bad command line is one line on stderr and code 1.
template <class Run>
int run_cli(CLI::App& app, int argc, char** argv, Run&& run) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    return fail(app.get_name().c_str(), usage_fault(app, error));
  }
  return run_program(app.get_name().c_str(), run);
}

}  // namespace heed::examples
