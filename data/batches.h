// Sentence pairs in batches of about equal size, counted in tokens.
//
// Pairs of similar length share a batch. A batch of B pairs costs B x max(S, T) tokens, S and T the
// padded lengths (T counts the bos or eos), and no batch costs more than max_tokens. Which pairs
// share a batch and in which order batches come is a pure function of (seed, epoch): to resume
// after a stop takes only the epoch and the index of the next batch. Without shuffle every epoch is
// the same, longest pairs last.
//
// With source tokens x and target tokens y of a pair:
//   source      = x                  (append eos yourself if the model wants one)
//   target_in   = bos y,  target_out = y eos
// padded on the right with kPad (0).
//
//   PairBatches batches(pairs, {.max_tokens = 4096, .seed = 1});
//   for (int64_t i = 0; i < batches.count(epoch); ++i) PairBatch batch = batches.get(epoch, i);
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <heed/core/array.h>
#include <heed/core/lengths.h>
#include <heed/data/tokenizer.h>

namespace heed::data {

template <class Plan>
class EpochPlan;

struct TokenPair {
  std::vector<int64_t> source, target;  // without bos and eos
};

struct PairBatch {
  Array source;               // [B, S] i64
  Array target_in;            // [B, T] i64
  Array target_out;           // [B, T] i64
  Lengths source_lengths;     // [B], without padding
  Lengths target_lengths;     // [B], bos or eos included
  std::vector<int64_t> rows;  // [B] which pairs these are
  int64_t target_tokens = 0;  // sum of target_lengths
};

struct BatchOptions {
  int64_t max_tokens = 4096;
  int64_t max_length = 256;  // longer pairs (x, or y with eos) are dropped and counted
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t source_vocab = 0, target_vocab = 0;  // all ids are below; 0: not known
};

class PairBatches {
 public:
  // ValueError: an empty source or target, an id outside the vocabulary, no pair, or none that is
  // short enough; options below 1.
  PairBatches(std::vector<TokenPair> pairs, const BatchOptions& options);

  int64_t size() const { return static_cast<int64_t>(order_.size()); }  // pairs in use
  int64_t dropped() const { return dropped_; }
  const TokenPair& pair(int64_t row) const { return pairs_[static_cast<size_t>(row)]; }
  const BatchOptions& options() const { return options_; }

  int64_t count(int64_t epoch) const;  // batches in this epoch
  // ValueError unless 0 <= index < count(epoch).
  PairBatch get(int64_t epoch, int64_t index) const;
  int64_t target_tokens(int64_t epoch, int64_t index) const;  // of that batch
  PairBatch make(std::span<const int64_t> rows) const;        // any rows, in this order

 private:
  using Plan = std::vector<std::vector<int64_t>>;  // rows of each batch
  Plan make_plan(int64_t epoch) const;
  std::shared_ptr<const Plan> plan(int64_t epoch) const;
  std::vector<int64_t> rows_of(int64_t epoch, int64_t index) const;

  std::vector<TokenPair> pairs_;
  std::vector<int64_t> order_;  // rows in use
  BatchOptions options_;
  int64_t dropped_ = 0;
  std::shared_ptr<EpochPlan<Plan>> plan_;
};

// Both sides of a corpus through their tokenizers (which may be one and the same).
std::vector<TokenPair> encode_pairs(const Tokenizer& source_tokenizer,
                                    const Tokenizer& target_tokenizer,
                                    std::span<const std::string> source,
                                    std::span<const std::string> target);

}  // namespace heed::data
