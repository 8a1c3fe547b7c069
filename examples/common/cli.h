// CLI11 behind three functions; only the programs' main.cpp include it, since it compiles slowly.
#pragma once

#include <charconv>

#include <CLI/CLI.hpp>

#include "program.h"
#include "settings.h"

namespace heed::examples {

// CLI11 reads a number that does not fit as the largest that does.
inline std::string fits(const std::string& text) {
  int64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc::result_out_of_range ? text + ": too large a number" : "";
}

template <class T>
CLI::Option* add_value(CLI::App& app, const std::string& flag, T& value, const std::string& help) {
  CLI::Option* option = app.add_option(flag, value, help);
  if constexpr (std::is_same_v<T, int64_t>) option->check(fits);
  if constexpr (std::is_same_v<T, std::vector<int64_t>>)  // "1,2,2"
    option->delimiter(',')->allow_extra_args(false)->check(fits);
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

// Help goes to stdout with code 0; a bad command line is one line on stderr and code 1.
template <class Run>
int run_cli(CLI::App& app, int argc, char** argv, Run&& run) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp& help) {
    return app.exit(help);
  } catch (const CLI::ParseError& error) {
    std::string commands;
    if (app.get_subcommands().empty())
      for (const CLI::App* sub : app.get_subcommands([](const CLI::App*) { return true; }))
        commands += (commands.empty() ? "one of " : ", ") + sub->get_name();
    if (!commands.empty()) commands += "; ";
    return fail(app.get_name().c_str(),
                str(error.what(), " (", commands, app.get_name(), " --help lists what there is)"));
  }
  return run_program(app.get_name().c_str(), run);
}

}  // namespace heed::examples
