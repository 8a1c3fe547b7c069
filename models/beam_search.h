// Beam search with any model that decodes step by step. The same input gives the same bits.
//
//   model.eval();
//   auto lists = models::beam_search(translator, {.source = ids, .lengths = lengths}, {.beam = 5});
//   auto best = models::beam_search(language_model, {.prompts = {prompt}}, {.length_extra = 40});
//
// As in Wu et al. 2016 (GNMT): hypotheses are compared by
//   log P(y | x) / lp(y),   lp(y) = ((5 + |y|) / 6)^alpha,   |y| counts the eos.
// A text is done when no open hypothesis can become better than the best that has ended (not as
// soon as `beam` of them have ended, which favours short ones), or at its longest length, where an
// open one is taken if none has ended.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <heed/models/steppable.h>
#include <heed/models/token_rules.h>

namespace heed::models {

inline constexpr int64_t kMostBeams = 1000;

struct BeamOptions {
  int64_t beam = 5;             // 1: greedy; at most kMostBeams
  double length_penalty = 0.6;  // alpha >= 0; 0: none
  // The most tokens that are added to the prompt, with S source tokens: factor * S + extra, eos not
  // counted. S = 0 without a source.
  double length_factor = 2;
  int64_t length_extra = 10;
  std::optional<int64_t> stop{};  // the token that ends a text; empty: the model's eos
  // log P is the model's after the repetition penalty; other rules only leave tokens out.
  TokenRules rules{};
};

struct Hypothesis {
  std::vector<int64_t> tokens{};  // without the prompt and the eos
  double log_probability = 0;     // of all tokens, eos included
  double score = 0;               // log_probability / lp
  bool ended = false;             // false: cut at the longest length, or nothing may follow
};

double length_penalty(int64_t length, double alpha);  // lp

// For each row of the inputs its hypotheses, best first, at most `beam`. ValueError: options out of
// range, a model in training mode, inputs that the model has no use for, a source token outside
// the vocabulary (on a device other than the CPU after the search, without its place).
std::vector<std::vector<Hypothesis>> beam_search(const Steppable& model,
                                                 const DecodingInputs& inputs,
                                                 const BeamOptions& options = {});

}  // namespace heed::models
