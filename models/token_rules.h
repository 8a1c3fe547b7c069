// What may come next in a text, and how likely, beside what the model says: shared by beam search
// and sampling.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include <heed/models/steppable.h>

namespace heed::models {

struct TokenRules {
  // Ids that never come, beside the vocabulary's pad and bos. The eos may be among them: then texts
  // end at their longest length.
  std::vector<int64_t> forbidden{};
  // theta > 0 of Keskar et al. 2019 (CTRL, section 4.1); 1: no penalty. The logit x of each token
  // that the text has already, its prompt included, becomes x / theta, or x * theta where x < 0.
  double repetition_penalty = 1;
  // No run of n tokens comes twice in a text, its prompt included; 0: no such rule.
  int64_t no_repeat_ngram = 0;
};

// ValueError; `stop` is the token that was asked to end a text, if one was: it must not be
// forbidden.
void check(const TokenRules& rules, const Vocabulary& vocabulary,
           const std::optional<int64_t>& stop = {});

using Texts = std::vector<std::vector<int64_t>>;  // the tokens of each row so far

// Logits [R, V] after the repetition penalty; the logits themselves where there is none.
Tensor penalize(const Tensor& logits, const TokenRules& rules, const Texts& texts);

// The ids that must not follow each text, in rising order. `stop` ends a text and is no part of it:
// it may come though it is the vocabulary's bos or pad (GPT-2's end of text is also its begin) or
// would repeat a run, and only `rules.forbidden` forbids it.
std::vector<std::vector<int64_t>> forbidden_tokens(const TokenRules& rules,
                                                   const Vocabulary& vocabulary, const Texts& texts,
                                                   int64_t stop = -1);

}  // namespace heed::models
