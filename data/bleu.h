// Corpus BLEU (Papineni et al. 2002) with the numbers of sacreBLEU's default
// (nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp), one reference a line:
//
//   BLEU = BP exp(1/4 sum_n ln p_n),  BP = exp(1 - r / c) if c < r else 1,  n = 1..4
//
// p_n = clipped n-gram matches / n-grams, summed over the corpus, in percent; c and r are the
// numbers of tokens in hypotheses and references. The k-th p_n without a match becomes 100 / (2^k
// n-grams). A corpus with no match at all, or without any n-gram of some n, has BLEU 0.
//
//   BleuResult bleu = corpus_bleu(hypotheses, references);
//   std::cout << to_string(bleu);
//   // BLEU = 35.42 66.1/42.5/29.0/20.1 (BP = 0.985 ratio = 0.985 ...
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace heed::data {

struct BleuResult {
  double score = 0;                       // 0 to 100
  std::array<double, 4> precisions = {};  // in percent
  double brevity_penalty = 0;
  int64_t hyp_len = 0, ref_len = 0;  // tokens
  std::array<int64_t, 4> matches = {}, totals = {};
};
std::string to_string(const BleuResult& result);

// ValueError: no lines, or another number of hypotheses than of references.
BleuResult corpus_bleu(std::span<const std::string> hypotheses,
                       std::span<const std::string> references);

// The 13a tokenizer of mteval: punctuation and symbols become tokens of their own, except . and ,
// between digits and - after anything but a digit; &quot; &amp; &lt; &gt; become characters. The
// result is the tokens joined by blanks.
std::string tokenize_13a(std::string_view line);

}  // namespace heed::data
