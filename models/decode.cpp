#include <heed/models/decode.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/error.h>
#include <heed/core/parallel.h>

namespace heed::models {

namespace {
struct Candidate {
  double score;  // log-probability so far
  int64_t beam, token;
};

struct Beam {
  std::vector<int64_t> tokens;
  double score = 0;
};

struct Sentence {
  int64_t row;    // in the batch
  int64_t limit;  // tokens, eos not counted
  std::vector<Beam> open;
  std::vector<Hypothesis> ended;
};

void check(const Transformer& model, const DecodeOptions& o) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("beam_search: " + what);
  };
  require(o.beam >= 1 && o.beam <= kMostBeams,
          str("1 <= beam <= ", kMostBeams, " expected, got ", o.beam));
  require(o.length_penalty >= 0, str("length_penalty >= 0 expected, got ", o.length_penalty));
  require(o.length_factor >= 0 && o.length_extra >= 0 && o.length_factor + o.length_extra > 0,
          "a longest length above 0 expected");
  require(!model.is_training(), "the model is in training mode: call eval() before");
}

// The k best tokens of each row by log-probability, ties by the lower id; never pad or bos.
std::vector<std::vector<Candidate>> best_tokens(const Tensor& logits, int64_t k,
                                                const TransformerConfig& config) {
  int64_t rows = logits.dim(0), vocab = logits.dim(1);
  Tensor values = logits.to(DType::f32).contiguous();  // [R, V]
  Tensor total = logsumexp(values, 1).contiguous();    // [R]
  const float* x = values.array().data<float>();
  const float* norm = total.array().data<float>();
  std::vector<std::vector<Candidate>> best(static_cast<size_t>(rows));
  parallel_for(rows, 1 + 16384 / vocab, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      auto& list = best[static_cast<size_t>(r)];
      float threshold = -std::numeric_limits<float>::infinity();
      for (int64_t v = 0; v < vocab; ++v) {
        float value = x[r * vocab + v];
        if (!(value > threshold) || v == config.pad || v == config.bos) continue;
        auto at = std::find_if(list.begin(), list.end(),
                               [&](const Candidate& c) { return value > c.score; });
        list.insert(at, {value, 0, v});
        if (static_cast<int64_t>(list.size()) > k) list.pop_back();
        if (static_cast<int64_t>(list.size()) == k)
          threshold = static_cast<float>(list.back().score);
      }
      for (Candidate& c : list) c.score -= norm[r];
    }
  });
  return best;
}

class BeamSearch {
 public:
  BeamSearch(const Transformer& model, const DecodeOptions& options)
      : model_(model), options_(options) {}

  std::vector<std::vector<Hypothesis>> run(const Tensor& source, const Lengths& lengths) {
    Memory memory = model_.encode(source, lengths);  // [B, S, d]
    const std::vector<int64_t>& source_lengths = lengths.values();
    std::vector<std::vector<Hypothesis>> results(source_lengths.size());
    int64_t longest = 0;
    for (size_t i = 0; i < source_lengths.size(); ++i) {
      auto factor =
          static_cast<int64_t>(options_.length_factor * static_cast<double>(source_lengths[i]));
      int64_t limit = std::max<int64_t>(1, factor + options_.length_extra);
      sentences_.push_back({static_cast<int64_t>(i), limit, {Beam{}}, {}});
      longest = std::max(longest, limit);
    }
    nn::DecoderState state = model_.new_state(memory, std::min<int64_t>(longest, 64));
    std::vector<int64_t> tokens(sentences_.size(), model_.config().bos);

    for (int64_t position = 0; !sentences_.empty(); ++position) {
      auto rows = static_cast<int64_t>(tokens.size());
      Tensor logits = model_.step(Tensor::from(tokens, {rows, 1}), position, state);  // [R, V]
      advance(best_tokens(logits, 2 * options_.beam, model_.config()), tokens, state, results);
    }
    return results;
  }

 private:
  // From each open beam's candidates to the next open beams; `state` follows.
  void advance(const std::vector<std::vector<Candidate>>& best, std::vector<int64_t>& tokens,
               nn::DecoderState& state, std::vector<std::vector<Hypothesis>>& results) {
    std::vector<int64_t> from, owner_before, owner;
    std::vector<Sentence> still_open;
    tokens.clear();
    int64_t row = 0;
    for (Sentence& s : sentences_) {
      int64_t first = row;
      row += static_cast<int64_t>(s.open.size());
      owner_before.insert(owner_before.end(), s.open.size(), s.row);
      std::vector<Beam> before = std::move(s.open);
      s.open.clear();
      std::vector<int64_t> beams = extend(s, before, best, first);
      if (is_done(s)) {
        results[static_cast<size_t>(s.row)] = finish(s);
        continue;
      }
      for (size_t i = 0; i < s.open.size(); ++i) {
        from.push_back(first + beams[i]);
        tokens.push_back(s.open[i].tokens.back());
        owner.push_back(s.row);
      }
      still_open.push_back(std::move(s));
    }
    sentences_ = std::move(still_open);
    if (sentences_.empty()) return;
    bool in_place = owner == owner_before;  // rows moved within their sentences, if at all
    std::vector<int64_t> same(from.size());
    std::iota(same.begin(), same.end(), 0);
    if (!in_place || from != same) state.select(from, in_place);
  }

  // Fills s.open and s.ended; returns which earlier beam each open one comes from.
  std::vector<int64_t> extend(Sentence& s, const std::vector<Beam>& before,
                              const std::vector<std::vector<Candidate>>& best,
                              int64_t first) const {
    std::vector<Candidate> candidates;
    for (size_t b = 0; b < before.size(); ++b)
      for (const Candidate& c : best[static_cast<size_t>(first) + b])
        candidates.push_back({before[b].score + c.score, static_cast<int64_t>(b), c.token});
    std::stable_sort(candidates.begin(), candidates.end(),
                     [](const Candidate& a, const Candidate& b) { return a.score > b.score; });
    std::vector<int64_t> beams;
    for (size_t rank = 0; rank < candidates.size(); ++rank) {
      const Candidate& c = candidates[rank];
      const Beam& old = before[static_cast<size_t>(c.beam)];
      if (c.token == model_.config().eos) {
        // An end that is not among the `beam` best would crowd out better sentences.
        if (static_cast<int64_t>(rank) >= options_.beam) continue;
        auto length = static_cast<int64_t>(old.tokens.size()) + 1;
        double lp = length_penalty(length, options_.length_penalty);
        s.ended.push_back({old.tokens, c.score, c.score / lp, true});
      } else if (static_cast<int64_t>(s.open.size()) < options_.beam) {
        s.open.push_back({old.tokens, c.score});
        s.open.back().tokens.push_back(c.token);
        beams.push_back(c.beam);
      }
    }
    return beams;
  }

  bool is_done(const Sentence& s) const {
    if (s.open.empty()) return true;
    if (static_cast<int64_t>(s.open.front().tokens.size()) >= s.limit) return true;
    if (s.ended.empty()) return false;
    double best = -std::numeric_limits<double>::infinity();
    for (const Hypothesis& h : s.ended) best = std::max(best, h.score);
    // Log-probabilities only fall, and no length penalty divides by more than the longest one.
    return best >= s.open.front().score / length_penalty(s.limit + 1, options_.length_penalty);
  }

  std::vector<Hypothesis> finish(Sentence& s) const {
    if (s.ended.empty() && s.open.empty())
      throw NumericError("beam_search: the model's scores are not numbers");
    if (s.ended.empty()) {
      for (const Beam& b : s.open) {
        auto length = static_cast<int64_t>(b.tokens.size());
        s.ended.push_back(
            {b.tokens, b.score, b.score / length_penalty(length, options_.length_penalty), false});
      }
    }
    std::stable_sort(s.ended.begin(), s.ended.end(),
                     [](const Hypothesis& a, const Hypothesis& b) { return a.score > b.score; });
    if (static_cast<int64_t>(s.ended.size()) > options_.beam)
      s.ended.resize(static_cast<size_t>(options_.beam));
    return std::move(s.ended);
  }

  const Transformer& model_;
  const DecodeOptions& options_;
  std::vector<Sentence>
      sentences_;  // not yet done; their beams are the state's rows, in this order
};
}  // namespace

double length_penalty(int64_t length, double alpha) {
  return std::pow((5 + static_cast<double>(length)) / 6, alpha);
}

std::vector<std::vector<Hypothesis>> beam_search(const Transformer& model, const Tensor& source,
                                                 const Lengths& lengths,
                                                 const DecodeOptions& options) {
  check(model, options);
  NoGrad guard;
  return BeamSearch(model, options).run(source, lengths);
}

std::vector<Hypothesis> translate(const Transformer& model,
                                  const std::vector<std::vector<int64_t>>& sources,
                                  const DecodeOptions& options,
                                  const std::function<void(int64_t done)>& on_progress) {
  constexpr size_t kRows = 256, kTokens = 8192;  // beams, and beams x source tokens, of a batch
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sources[a].size() < sources[b].size(); });
  auto beam = static_cast<size_t>(std::max<int64_t>(options.beam, 1));
  std::vector<Hypothesis> results(sources.size());
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    end = begin + 1;
    while (end < order.size() && (end + 1 - begin) * beam <= kRows &&
           (end + 1 - begin) * beam * sources[order[end]].size() <= kTokens)
      ++end;
    size_t longest = sources[order[end - 1]].size();
    if (sources[order[begin]].empty()) throw ValueError("translate: a sentence without tokens");
    std::vector<int64_t> ids((end - begin) * longest, model.config().pad), lengths;
    for (size_t i = begin; i < end; ++i) {
      const auto& tokens = sources[order[i]];
      std::copy(tokens.begin(), tokens.end(),
                ids.begin() + static_cast<int64_t>((i - begin) * longest));
      lengths.push_back(static_cast<int64_t>(tokens.size()));
    }
    auto rows = static_cast<int64_t>(end - begin);
    auto best = beam_search(model, Tensor::from(ids, {rows, static_cast<int64_t>(longest)}),
                            lengths, options);
    for (size_t i = begin; i < end; ++i) results[order[i]] = std::move(best[i - begin].front());
    if (on_progress) on_progress(static_cast<int64_t>(end));
  }
  return results;
}

}  // namespace heed::models
