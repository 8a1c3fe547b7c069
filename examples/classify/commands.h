// The three things that classify does; main.cpp parses the command line for them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "settings.h"

namespace heed::examples {

struct EvalSettings {
  std::string model;
  DataSettings data;
  int64_t threads = 0;
};

struct RunSettings {
  std::string model;
  std::vector<std::string> pictures;
  std::string query;  // "X,Y": a pixel of the picture as the page shows it
  std::string page = "attention.html";
  int64_t top = 5, threads = 0;
};

int train_command(const ClassifySettings& settings);
// `settings`: test_settings(s.data), with what the command line gave marked; the rest is the run's.
int eval_command(EvalSettings& s, const Settings& settings);
int run_command(const RunSettings& settings);

}  // namespace heed::examples
