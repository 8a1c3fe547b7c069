// What a trained translator can do, printed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <heed/data/corpus.h>
#include <heed/data/tokenizer.h>
#include <heed/models/beam_search.h>
#include <heed/models/transformer.h>

namespace heed::examples {

struct Scores {
  double bleu = 0;
  int64_t exact = 0, sentences = 0;
};

// Translates corpus.source and compares with corpus.target. The model must be in eval mode.
Scores evaluate(const models::Transformer& model, const data::Tokenizer& tokenizer,
                const data::ParallelCorpus& corpus, const models::BeamOptions& options,
                std::vector<std::string>& translations);

// "BLEU = 35.42 (beam 5, 13a, cased, 1000 sentences)"
std::string bleu_line(double bleu, int64_t beam, int64_t sentences);
void print_samples(const data::ParallelCorpus& corpus, const std::vector<std::string>& translations,
                   size_t count);

// Attention of one of the first translations as an HTML page, all layers and heads. False where no
// attention of the model has weights to show, or all those translations are empty or too long:
// there is no page then.
bool save_attention(const models::Transformer& model, const data::Tokenizer& tokenizer,
                    const std::vector<std::string>& sources,
                    const std::vector<std::string>& translations, const std::string& file);

}  // namespace heed::examples
