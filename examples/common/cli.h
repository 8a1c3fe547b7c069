// CLI11 behind three functions; included by each program's main.cpp alone, since it compiles
// slowly.
#pragma once

#include <CLI/CLI.hpp>

#include "program.h"
#include "settings.h"

namespace heed::examples {

inline void add_settings(CLI::App& app, const Settings& settings) {
  for (const Setting& s : settings)
    std::visit(
        [&](auto* v) {
          if constexpr (std::is_same_v<std::decay_t<decltype(*v)>, bool>)
            app.add_flag("--" + s.name + (s.off.empty() ? "" : ",!--" + s.off), *v, s.help);
          else app.add_option("--" + s.name, *v, s.help);
        },
        s.value);
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
    std::string hint = str(" (", app.get_name(), " --help lists what there is)");
    return fail(app.get_name().c_str(), error.what() + hint);
  }
  return run_program(app.get_name().c_str(), run);
}

}  // namespace heed::examples
