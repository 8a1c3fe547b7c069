#include "report.h"

#include <cstdio>
#include <utility>

#include <heed/data/bleu.h>
#include <heed/train/progress.h>

#include "saved_model.h"

namespace heed::examples {

Scores evaluate(const models::Transformer& model, const data::Tokenizer& tokenizer,
                const data::ParallelCorpus& corpus, const models::BeamOptions& options,
                std::vector<std::string>& translations) {
  train::Progress progress;
  translations =
      translate_lines(model, tokenizer, corpus.source, options, [&](int64_t done, int64_t total) {
        progress.update(done, total, str(done, " of ", total, " sentences translated"));
      });
  progress.finish();
  Scores scores;
  scores.sentences = corpus.size();
  scores.bleu = data::corpus_bleu(translations, corpus.target).score;
  for (size_t i = 0; i < translations.size(); ++i)
    scores.exact += translations[i] == corpus.target[i];
  return scores;
}

std::string bleu_line(double bleu, int64_t beam, int64_t sentences) {
  char line[128];
  std::snprintf(line, sizeof line, "BLEU = %.2f (%s, 13a, cased, %lld sentences)", bleu,
                beam == 1 ? "greedy" : str("beam ", beam).c_str(),
                static_cast<long long>(sentences));
  return line;
}

void print_samples(const data::ParallelCorpus& corpus, const std::vector<std::string>& translations,
                   size_t count) {
  for (size_t i = 0; i < std::min(count, translations.size()); ++i)
    std::printf("\n  source       %s\n  translation  %s\n  reference    %s\n",
                corpus.source[i].c_str(), translations[i].c_str(), corpus.target[i].c_str());
  std::printf("\n");
}

}  // namespace heed::examples
