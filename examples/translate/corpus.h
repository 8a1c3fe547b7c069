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
struct CorpusFiles {
  std::string source, target;
  bool skip_empty = false;
};
struct EncodedCorpus {
  std::vector<data::TokenPair> pairs{};
  int64_t left_out = 0;  // by skip_empty
};
// IoError, naming file and line, where no token remains of a side, unless skip_empty.
EncodedCorpus encode(const data::Tokenizer& tokenizer, const data::ParallelCorpus& corpus,
                     const CorpusFiles& files);
// On the default device, where the model was made.
models::TranslationBatch to_tensors(const data::PairBatch& batch);

}  // namespace heed::examples
