// The three things that translate does; main.cpp parses the command line for them.
#pragma once

#include <cstdint>
#include <string>

#include "settings.h"

namespace heed::examples {

struct TranslateSettings {  // of `run` and `eval`
  std::string model;
  std::string src, ref;  // eval
  std::string out;       // eval: a file for the translations
  int64_t beam = 5, threads = 0;
  double length_penalty = 0.6;
  int64_t no_repeat_ngram = 0;
};

int train_command(const TrainSettings& settings);
int run_command(const TranslateSettings& settings);  // stdin to stdout
int eval_command(const TranslateSettings& settings);

}  // namespace heed::examples
