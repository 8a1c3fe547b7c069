// Translating with a Transformer: greedy and beam search, token by token, each token's keys and
// values kept (models/transformer.h: new_state, step). The same input gives the same bits.
//
//   model.eval();
//   std::vector<models::Hypothesis> best = models::translate(model, sources, {.beam = 5});
//
// Beam search as in Wu et al. 2016 (GNMT): hypotheses are compared by
//   log P(y | x) / lp(y),   lp(y) = ((5 + |y|) / 6)^alpha,   |y| counts the eos.
// A sentence is done when no open hypothesis can become better than the best that has ended (so a
// narrow peak of short ends cannot stop it), or at its longest length, where an open one is taken
// if none has ended.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <heed/models/transformer.h>

namespace heed::models {

inline constexpr int64_t kMostBeams = 1000;

struct DecodeOptions {
  int64_t beam = 5;             // 1: greedy; at most kMostBeams
  double length_penalty = 0.6;  // alpha >= 0; 0: none
  // The longest translation of S source tokens: factor * S + extra tokens, eos not counted.
  double length_factor = 2;
  int64_t length_extra = 10;
};

struct Hypothesis {
  std::vector<int64_t> tokens;  // without bos and eos
  double log_probability = 0;   // of all tokens, eos included
  double score = 0;             // log_probability / lp
  bool ended = false;           // false: cut at the longest length
};

double length_penalty(int64_t length, double alpha);  // lp

// Source i64 [B, S]: for each row its hypotheses, best first, at most `beam`.
// ValueError: options out of range, a model in training mode.
std::vector<std::vector<Hypothesis>> beam_search(const Transformer& model, const Tensor& source,
                                                 const Lengths& lengths,
                                                 const DecodeOptions& options);

// The best of each sentence (token ids, with eos if the model was trained so). Batches of similar
// length are made here; `on_progress` hears how many sentences are done.
std::vector<Hypothesis> translate(const Transformer& model,
                                  const std::vector<std::vector<int64_t>>& sources,
                                  const DecodeOptions& options = {},
                                  const std::function<void(int64_t done)>& on_progress = {});

}  // namespace heed::models
