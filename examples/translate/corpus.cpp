#include "corpus.h"

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/toy_translation.h>

namespace heed::examples {

namespace {
// Moves the last `count` pairs out of `corpus`.
data::ParallelCorpus hold_out(data::ParallelCorpus& corpus, int64_t count) {
  data::ParallelCorpus held;
  auto split = [&](auto& from, auto& to) {
    to.assign(from.end() - count, from.end());
    from.resize(from.size() - static_cast<size_t>(count));
  };
  split(corpus.source, held.source);
  split(corpus.target, held.target);
  split(corpus.line, held.line);
  return held;
}
}  // namespace

Corpora load_corpora(const TrainSettings& s) {
  Corpora c;
  if (s.is_toy()) {
    auto seed = static_cast<uint64_t>(s.training.seed);
    c.train = data::make_toy_pairs(s.toy_pairs, seed, data::ToySplit::train);
    c.valid = data::make_toy_pairs(500, seed, data::ToySplit::valid);
    c.test = data::make_toy_pairs(1000, seed, data::ToySplit::test);
    c.note = str("toy language pair: ", s.toy_pairs,
                 " pairs to learn from, 1000 unseen ones for the end");
    return c;
  }
  data::CorpusOptions options{.skip_empty = s.skip_empty};
  c.train = data::read_parallel(s.src, s.tgt, options);
  std::string skipped =
      c.train.skipped ? str(", ", c.train.skipped, " with an empty side left out") : "";
  if (!s.valid_src.empty()) {
    c.valid = data::read_parallel(s.valid_src, s.valid_tgt, options);
  } else {
    if (c.train.size() < 2)
      throw ValueError(str(s.src, ": at least 2 pairs expected, one of them for validation"));
    c.valid = hold_out(c.train, std::clamp<int64_t>(c.train.size() / 20, 1, 1000));
  }
  c.test = c.valid;
  c.note = str(s.src, ", ", s.tgt, ": ", c.train.size(), " pairs", skipped,
               "; validation: ", c.valid.size(),
               s.valid_src.empty() ? " pairs from their end" : " pairs");
  return c;
}

std::vector<int64_t> encode_source(const data::Tokenizer& tokenizer, const std::string& line) {
  std::vector<int64_t> ids = tokenizer.encode(line);
  ids.push_back(data::kEos);
  return ids;
}

EncodedCorpus encode(const data::Tokenizer& tokenizer, const data::ParallelCorpus& corpus,
                     const CorpusFiles& files) {
  std::vector<data::TokenPair> all =
      data::encode_pairs(tokenizer, tokenizer, corpus.source, corpus.target);
  EncodedCorpus encoded;
  auto place = [&](const std::string& file, size_t i) {  // generated pairs have no lines
    return i < corpus.line.size() ? str(file, ":", corpus.line[i]) : str("pair ", i + 1);
  };
  for (size_t i = 0; i < all.size(); ++i) {
    data::TokenPair& pair = all[i];
    if (pair.source.empty() || pair.target.empty()) {
      if (!files.skip_empty)
        throw IoError(str(place(pair.source.empty() ? files.source : files.target, i),
                          ": no token remains of this line (--skip-empty would drop the pair)"));
      ++encoded.left_out;
      continue;
    }
    pair.source.push_back(data::kEos);
    encoded.pairs.push_back(std::move(pair));
  }
  if (encoded.pairs.empty())
    throw IoError(str(files.source, ": no pair with tokens on both sides"));
  return encoded;
}

models::TranslationBatch to_tensors(const data::PairBatch& batch) {
  return {on_device(batch.source), batch.source_lengths, on_device(batch.target_in),
          on_device(batch.target_out)};
}

}  // namespace heed::examples
