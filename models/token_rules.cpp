#include <heed/models/token_rules.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <heed/autograd/ops/elementwise.h>
#include <heed/core/error.h>

namespace heed::models {

void check(const TokenRules& rules, const Vocabulary& vocabulary,
           const std::optional<int64_t>& stop) {
  for (int64_t id : rules.forbidden) {
    if (id < 0 || id >= vocabulary.size)
      throw ValueError(
          str("TokenRules: forbidden id ", id, " outside the vocabulary of ", vocabulary.size));
    if (id == stop)
      throw ValueError(str("TokenRules: id ", id, " is forbidden, but it is to end the texts"));
  }
  if (!(rules.repetition_penalty > 0 && std::isfinite(rules.repetition_penalty)))
    throw ValueError(str("TokenRules: a finite repetition_penalty > 0 expected, got ",
                         rules.repetition_penalty));
  if (rules.no_repeat_ngram < 0)
    throw ValueError(str("TokenRules: no_repeat_ngram >= 0 expected, got ", rules.no_repeat_ngram));
}

Tensor penalize(const Tensor& logits, const TokenRules& rules, const Texts& texts) {
  if (rules.repetition_penalty == 1) return logits;
  int64_t vocab = logits.dim(1);
  std::vector<float> factors(static_cast<size_t>(logits.numel()), 1);
  for (size_t r = 0; r < texts.size(); ++r)
    for (int64_t id : texts[r])
      factors[r * static_cast<size_t>(vocab) + static_cast<size_t>(id)] =
          static_cast<float>(rules.repetition_penalty);
  Tensor factor = Tensor::from(factors, logits.shape(),
                               {.dtype = logits.dtype(), .device = logits.device()});  // [R, V]
  return where(greater(logits, 0.0), logits / factor, logits * factor);                // [R, V]
}

// Wherever the last n - 1 tokens stood before, what followed them there must not follow again.
static void add_repeated(const std::vector<int64_t>& text, int64_t n, std::set<int64_t>& ids) {
  auto length = static_cast<int64_t>(text.size());
  auto end = text.end() - std::min(n - 1, length);
  for (auto at = text.begin(); length >= n && at + (n - 1) != text.end(); ++at)
    if (std::equal(end, text.end(), at)) ids.insert(at[n - 1]);
}

std::vector<std::vector<int64_t>> forbidden_tokens(const TokenRules& rules,
                                                   const Vocabulary& vocabulary, const Texts& texts,
                                                   int64_t stop) {
  const std::set<int64_t> asked(rules.forbidden.begin(), rules.forbidden.end());
  std::vector<std::vector<int64_t>> out;
  for (const std::vector<int64_t>& text : texts) {
    std::set<int64_t> ids;
    for (int64_t id : {vocabulary.pad, vocabulary.bos})
      if (id >= 0) ids.insert(id);
    if (rules.no_repeat_ngram > 0) add_repeated(text, rules.no_repeat_ngram, ids);
    ids.erase(stop);
    ids.insert(asked.begin(), asked.end());
    out.emplace_back(ids.begin(), ids.end());
  }
  return out;
}

}  // namespace heed::models
