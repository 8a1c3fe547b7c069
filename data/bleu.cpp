#include <heed/data/bleu.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <unordered_map>
#include <vector>

#include <heed/core/error.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
using Words = std::vector<std::string_view>;

void replace_all(std::string& text, std::string_view from, std::string_view to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_stop(char c) { return c == '.' || c == ','; }
// ASCII punctuation but ' , - and .
bool is_symbol(char c) {
  return (c >= ' ' && c <= '&') || (c >= '(' && c <= '+') || c == '/' || (c >= ':' && c <= '@') ||
         (c >= '[' && c <= '`') || (c >= '{' && c <= '~');
}

// Like re.sub with a pattern of two characters: from left to right, matches do not overlap. Bytes
// will do, as all characters that the patterns name are ASCII.
template <class First, class Second>
std::string substitute(std::string_view text, First first, Second second, std::string_view between,
                       std::string_view before, std::string_view behind) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (i + 1 == text.size() || !first(text[i]) || !second(text[i + 1])) {
      out.push_back(text[i]);
      continue;
    }
    out.append(before).push_back(text[i]);
    out.append(between).push_back(text[++i]);
    out.append(behind);
  }
  return out;
}

std::string_view strip_right(std::string_view text) {
  size_t end = 0;
  for (size_t i = 0; i < text.size();)
    if (!is_space(utf8_next(text, i))) end = i;
  return text.substr(0, end);
}

using Counts = std::unordered_map<std::string, int64_t>;
Counts count_ngrams(const Words& words, size_t n) {
  Counts counts;
  for (size_t i = 0; i + n <= words.size(); ++i) {
    std::string ngram(words[i]);
    for (size_t k = 1; k < n; ++k) ngram.append(" ").append(words[i + k]);
    ++counts[ngram];
  }
  return counts;
}
}  // namespace

std::string tokenize_13a(std::string_view line) {
  std::string text(line);
  replace_all(text, "<skipped>", "");
  replace_all(text, "-\n", "");
  replace_all(text, "\n", " ");
  replace_all(text, "&quot;", "\"");
  replace_all(text, "&amp;", "&");
  replace_all(text, "&lt;", "<");
  replace_all(text, "&gt;", ">");

  std::string spaced = " ";
  for (char c : text) {
    if (is_symbol(c)) spaced.append({' ', c, ' '});
    else spaced.push_back(c);
  }
  spaced += " ";
  auto no_digit = [](char c) { return !is_digit(c); };
  spaced = substitute(spaced, no_digit, is_stop, " ", "", " ");
  spaced = substitute(spaced, is_stop, no_digit, " ", " ", "");
  spaced = substitute(
      spaced, is_digit, [](char c) { return c == '-'; }, " ", "", " ");

  std::string out;
  for (std::string_view word : split_words(spaced)) out.append(out.empty() ? "" : " ").append(word);
  return out;
}

BleuResult corpus_bleu(std::span<const std::string> hypotheses,
                       std::span<const std::string> references) {
  if (hypotheses.size() != references.size() || hypotheses.empty())
    throw ValueError(
        str("corpus_bleu: as many hypotheses as references expected and at least one, got ",
            hypotheses.size(), " and ", references.size()));
  BleuResult r;
  for (size_t line = 0; line < hypotheses.size(); ++line) {
    std::string hyp = tokenize_13a(strip_right(hypotheses[line]));
    std::string ref = tokenize_13a(strip_right(references[line]));
    Words h = split_words(hyp), g = split_words(ref);
    r.hyp_len += static_cast<int64_t>(h.size());
    r.ref_len += static_cast<int64_t>(g.size());
    for (size_t n = 1; n <= 4; ++n) {
      Counts in_ref = count_ngrams(g, n);
      for (auto& [ngram, count] : count_ngrams(h, n)) {
        auto it = in_ref.find(ngram);
        r.totals[n - 1] += count;
        if (it != in_ref.end()) r.matches[n - 1] += std::min(count, it->second);
      }
    }
  }
  auto c = static_cast<double>(r.hyp_len), g = static_cast<double>(r.ref_len);
  r.brevity_penalty = c >= g ? 1 : c > 0 ? std::exp(1 - g / c) : 0;
  if (r.matches[0] == 0) return r;
  double log_sum = 0, smoothing = 1;
  bool all = true;
  for (size_t n = 0; n < 4; ++n) {
    auto total = static_cast<double>(r.totals[n]);
    if (!(all = all && total > 0)) break;
    double matches = static_cast<double>(r.matches[n]);
    r.precisions[n] = matches > 0 ? 100 * matches / total : 100 / ((smoothing *= 2) * total);
    log_sum += std::log(r.precisions[n]);
  }
  r.score = all ? r.brevity_penalty * std::exp(log_sum / 4) : 0;
  return r;
}

std::string to_string(const BleuResult& r) {
  char text[256];
  double ratio = r.ref_len ? static_cast<double>(r.hyp_len) / static_cast<double>(r.ref_len) : 0;
  std::snprintf(
      text, sizeof text,
      "BLEU = %.2f %.1f/%.1f/%.1f/%.1f (BP = %.3f ratio = %.3f hyp_len = %lld ref_len = %lld)",
      r.score, r.precisions[0], r.precisions[1], r.precisions[2], r.precisions[3],
      r.brevity_penalty, ratio, static_cast<long long>(r.hyp_len),
      static_cast<long long>(r.ref_len));
  return text;
}

}  // namespace heed::data
