#include <heed/models/beam_search.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/ops/range_flag.h>
#include <heed/core/error.h>
#include <heed/models/continuations.h>
#include <heed/models/read_best_tokens.h>

namespace heed::models {

namespace {
struct Candidate {
  double score;  // log-probability so far
  int64_t row, token;
};

struct Search {  // of one row of the inputs
  int64_t input;
  int64_t limit;               // tokens, eos not counted
  std::vector<double> open{};  // log-probabilities so far; these texts lie row by row
  std::vector<Hypothesis> ended{};
};

void check(const BeamOptions& o) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("beam_search: " + what);
  };
  require(o.beam >= 1 && o.beam <= kMostBeams,
          str("1 <= beam <= ", kMostBeams, " expected, got ", o.beam));
  require(o.length_penalty >= 0, str("length_penalty >= 0 expected, got ", o.length_penalty));
  require(o.length_factor >= 0 && o.length_extra >= 0 && o.length_factor + o.length_extra > 0,
          "a longest length above 0 expected");
}

// The most tokens that each row of the inputs may get.
std::vector<int64_t> limits(const DecodingInputs& inputs, const BeamOptions& o) {
  std::vector<int64_t> out(static_cast<size_t>(inputs.rows()), 0);
  if (inputs.source.defined() && inputs.lengths.defined()) out = inputs.lengths.values();
  for (int64_t& n : out) {
    auto factor = static_cast<int64_t>(o.length_factor * static_cast<double>(n));
    n = std::max<int64_t>(1, factor + o.length_extra);
  }
  return out;
}

int64_t largest(const std::vector<int64_t>& list) {
  return list.empty() ? 0 : *std::max_element(list.begin(), list.end());
}

class BeamSearch {
 public:
  BeamSearch(const Steppable& model, const DecodingInputs& inputs, const BeamOptions& options)
      : options_(options),
        vocabulary_(model.vocabulary()),
        stop_(options.stop.value_or(vocabulary_.eos)) {
    std::vector<int64_t> most = limits(inputs, options);
    for (size_t i = 0; i < most.size(); ++i)
      searches_.push_back({static_cast<int64_t>(i), most[i], {0.0}});
    texts_.emplace(model, inputs, largest(most));
  }

  std::vector<std::vector<Hypothesis>> run() {
    std::vector<std::vector<Hypothesis>> results(searches_.size());
    while (!searches_.empty()) {
      Tensor logits = penalize(texts_->next(), options_.rules, texts_->texts());  // [R, V]
      auto forbidden = forbidden_tokens(options_.rules, vocabulary_, texts_->texts(), stop_);
      best_ = read_best_tokens(logits, 2 * options_.beam, forbidden);
      advance(results);
    }
    return results;
  }

 private:
  // From each open text's best tokens to the next open texts.
  void advance(std::vector<std::vector<Hypothesis>>& results) {
    std::vector<int64_t> rows, tokens;
    std::vector<Search> still_open;
    int64_t row = 0;
    for (Search& s : searches_) {
      auto first = row;
      row += static_cast<int64_t>(s.open.size());
      std::vector<Candidate> chosen = best_continuations(s, first);
      if (is_done(s, chosen)) {
        results[static_cast<size_t>(s.input)] = finish(s, first, chosen);
        continue;
      }
      s.open.clear();
      for (const Candidate& c : chosen) {
        rows.push_back(c.row);
        tokens.push_back(c.token);
        s.open.push_back(c.score);
      }
      still_open.push_back(std::move(s));
    }
    searches_ = std::move(still_open);
    if (!searches_.empty()) texts_->append(rows, tokens);
  }

  // Adds to s.ended; returns what the next open texts are, best first. `first` is the row of the
  // first open text.
  std::vector<Candidate> best_continuations(Search& s, int64_t first) const {
    std::vector<Candidate> candidates, chosen;
    for (size_t b = 0; b < s.open.size(); ++b) {
      int64_t row = first + static_cast<int64_t>(b);
      for (const TokenScore& t : best_[static_cast<size_t>(row)])
        candidates.push_back({s.open[b] + t.log_probability, row, t.token});
    }
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    for (size_t rank = 0; rank < candidates.size(); ++rank) {
      const Candidate& c = candidates[rank];
      if (c.token == stop_) {
        // An end that is not among the `beam` best would crowd out better texts.
        if (static_cast<int64_t>(rank) < options_.beam)
          s.ended.push_back(hypothesis(texts_->added(c.row), c.score, true));
      } else if (static_cast<int64_t>(chosen.size()) < options_.beam) {
        chosen.push_back(c);
      }
    }
    return chosen;
  }

  Hypothesis hypothesis(std::vector<int64_t> tokens, double log_probability, bool ended) const {
    auto length = static_cast<int64_t>(tokens.size()) + ended;
    double lp = length_penalty(length, options_.length_penalty);
    return {std::move(tokens), log_probability, log_probability / lp, ended};
  }

  bool is_done(const Search& s, const std::vector<Candidate>& chosen) const {
    if (chosen.empty()) return true;
    auto before = static_cast<int64_t>(texts_->texts().front().size()) - texts_->prompt_length();
    if (before + 1 >= s.limit) return true;
    if (s.ended.empty()) return false;
    double best = -std::numeric_limits<double>::infinity();
    for (const Hypothesis& h : s.ended) best = std::max(best, h.score);
    // Log-probabilities only fall, and no length penalty divides by more than the longest one.
    return best >= chosen.front().score / length_penalty(s.limit + 1, options_.length_penalty);
  }

  std::vector<Hypothesis> finish(Search& s, int64_t first,
                                 const std::vector<Candidate>& chosen) const {
    std::vector<Hypothesis> list = std::move(s.ended);
    if (list.empty()) {
      for (const Candidate& c : chosen) {
        std::vector<int64_t> tokens = texts_->added(c.row);
        tokens.push_back(c.token);
        list.push_back(hypothesis(std::move(tokens), c.score, false));
      }
    }
    if (list.empty())  // the rules left no token
      for (size_t b = 0; b < s.open.size(); ++b)
        list.push_back(
            hypothesis(texts_->added(first + static_cast<int64_t>(b)), s.open[b], false));
    std::stable_sort(list.begin(), list.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    if (static_cast<int64_t>(list.size()) > options_.beam)
      list.resize(static_cast<size_t>(options_.beam));
    return list;
  }

  const BeamOptions& options_;
  Vocabulary vocabulary_;
  int64_t stop_;
  std::vector<Search> searches_;  // not yet done; their open texts are texts_'s rows, in this order
  std::optional<Continuations> texts_;
  std::vector<std::vector<TokenScore>> best_;  // of each row
};
}  // namespace

double length_penalty(int64_t length, double alpha) {
  return std::pow((5 + static_cast<double>(length)) / 6, alpha);
}

std::vector<std::vector<Hypothesis>> beam_search(const Steppable& model,
                                                 const DecodingInputs& inputs,
                                                 const BeamOptions& options) {
  check(options);
  check(options.rules, model.vocabulary(), options.stop);
  auto lists = BeamSearch(model, inputs, options).run();
  refuse_out_of_range("beam_search", model.device());
  return lists;
}

}  // namespace heed::models
