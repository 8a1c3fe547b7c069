// Sentence pairs for training: the user's files, or the toy language pair.
#pragma once

#include <string>
#include <vector>

#include <heed/data/batches.h>
#include <heed/data/corpus.h>
#include <heed/data/tokenizer.h>
#include <heed/models/transformer.h>

#include "settings.h"

namespace heed::examples {

struct Corpora {
  data::ParallelCorpus train, valid, test;  // test: what the final evaluation translates
  std::string note;                         // one line about where they come from
};

Corpora load_corpora(const TrainSettings& s);

// The source ends with eos, as in tensor2tensor and fairseq: something to attend to for "no word".
std::vector<int64_t> encode_source(const data::Tokenizer& tokenizer, const std::string& line);
std::vector<data::TokenPair> encode(const data::Tokenizer& tokenizer,
                                    const data::ParallelCorpus& corpus);
// On the default device, where the model was made.
models::TranslationBatch to_tensors(const data::PairBatch& batch);

}  // namespace heed::examples
