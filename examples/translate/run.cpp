// `translate run` and `translate eval`.
#include <cstdio>
#include <fstream>
#include <iostream>

#include <heed/core/error.h>
#include <heed/data/lines.h>

#include "../common/checks.h"
#include "commands.h"
#include "report.h"
#include "saved_model.h"

namespace heed::examples {

namespace {
void check(const TranslateSettings& s) {
  require_in_range(
      {{"--beam", s.beam, 1, models::kMostBeams}, {"--no-repeat-ngram", s.no_repeat_ngram, 0}});
  require_not_negative({{"--length-penalty", s.length_penalty}});
  set_threads(s.threads);
}

models::BeamOptions options_of(const TranslateSettings& s) {
  models::BeamOptions options = beam_options(s.beam, s.length_penalty);
  options.rules.no_repeat_ngram = s.no_repeat_ngram;
  return options;
}
}  // namespace

// In pieces of what has come so far, so that a long input gives its first lines early, and one that
// comes line by line is answered line by line. What comes before a bad line is answered, too.
int run_command(const TranslateSettings& s) {
  constexpr size_t kPiece = 500;
  check(s);
  SavedTranslator saved = load_translator(s.model);
  models::BeamOptions options = options_of(s);
  std::vector<std::string> lines;
  auto flush = [&] {
    for (const std::string& line : translate_lines(*saved.model, *saved.tokenizer, lines, options))
      std::cout << line << '\n';
    std::cout.flush();
    if (!std::cout) throw IoError("stdout: cannot be written");
    lines.clear();
  };
  data::LineReader input("/dev/stdin");
  auto or_flush = [&](auto&& read) {
    try {
      return read();
    } catch (const IoError&) {
      flush();
      throw;
    }
  };
  for (std::string line; or_flush([&] { return input.next(line); });) {
    lines.push_back(std::move(line));
    if (lines.size() == kPiece || !or_flush([&] { return input.ready(); })) flush();
  }
  flush();
  return 0;
}

int eval_command(const TranslateSettings& s) {
  check(s);
  data::ParallelCorpus corpus = data::read_parallel(s.src, s.ref);
  SavedTranslator saved = load_translator(s.model);
  std::vector<std::string> translations;
  Scores scores = evaluate(*saved.model, *saved.tokenizer, corpus, options_of(s), translations);
  if (!s.out.empty()) {
    std::ofstream out(s.out);
    for (const std::string& line : translations) out << line << '\n';
    out.flush();
    if (!out) throw IoError(str(s.out, ": cannot be written"));
  }
  std::printf("%s\n", bleu_line(scores.bleu, s.beam, scores.sentences).c_str());
  return 0;
}

}  // namespace heed::examples
