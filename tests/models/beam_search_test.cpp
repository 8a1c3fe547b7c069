#include <cmath>

#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/tests/models/small_models.h>

using namespace heed;
using namespace heed::test;

namespace {
// A model that has learned one batch well enough to have opinions.
struct Learned {
  models::TranslationBatch batch = make_batch(6, 8, 24, 7);
  models::Transformer model;

  explicit Learned(bool pre_norm = false, int steps = 40) : model(config(pre_norm)) {
    overfit(model, steps, 5e-3, [&] { return model.loss(batch); });
  }
  static models::TransformerConfig config(bool pre_norm) {
    manual_seed(3);
    models::TransformerConfig c = small_config();
    c.layer.norm_first = pre_norm;
    return c;
  }
  std::vector<int64_t> source(int64_t row) const {
    std::vector<int64_t> ids;
    for (double id : batch.source[row].to_vector())
      if (id != 0) ids.push_back(static_cast<int64_t>(id));
    return ids;
  }
};

// Log-probabilities of all next tokens, by a full forward pass without any cache.
std::vector<double> next_tokens(const models::Transformer& model,
                                const std::vector<int64_t>& source, std::vector<int64_t> target) {
  NoGrad guard;
  auto s = static_cast<int64_t>(source.size());
  target.insert(target.begin(), 2);
  auto t = static_cast<int64_t>(target.size());
  models::Memory memory = model.encode(integers(source, {1, s}), {s});
  Tensor states = model.decode(integers(target, {1, t}), memory);
  return log_softmax(model.logits(states[0][t - 1]), 0).to_vector();
}

struct Plain {
  std::vector<int64_t> tokens;
  double log_probability = 0;
};

Plain greedy_without_cache(const models::Transformer& model, const std::vector<int64_t>& source,
                           size_t limit) {
  Plain p;
  while (p.tokens.size() < limit) {
    std::vector<double> scores = next_tokens(model, source, p.tokens);
    int64_t best = 1;
    for (int64_t v = 1; v < 24; ++v)
      if (v != 2 && scores[static_cast<size_t>(v)] > scores[static_cast<size_t>(best)]) best = v;
    p.log_probability += scores[static_cast<size_t>(best)];
    if (best == 3) break;
    p.tokens.push_back(best);
  }
  return p;
}

double log_probability(const models::Transformer& model, const std::vector<int64_t>& source,
                       const models::Hypothesis& h) {
  double sum = 0;
  for (size_t i = 0; i < h.tokens.size() + h.ended; ++i) {
    std::vector<int64_t> before(h.tokens.begin(), h.tokens.begin() + static_cast<int64_t>(i));
    int64_t token = i < h.tokens.size() ? h.tokens[i] : 3;
    sum += next_tokens(model, source, before)[static_cast<size_t>(token)];
  }
  return sum;
}
}  // namespace

TEST_CASE("beam search: token by token equals the whole target at once") {
  for (bool pre_norm : {false, true}) {
    Learned l(pre_norm, 10);
    NoGrad guard;
    models::Memory memory = l.model.encode(l.batch.source, l.batch.source_lengths);
    Tensor whole = l.model.logits(l.model.decode(l.batch.target_in, memory));  // [B, T, V]
    auto decoding = l.model.start({l.batch.source, l.batch.source_lengths});
    for (int64_t t = 0; t < l.batch.target_in.dim(1); ++t) {
      Tensor one = decoding->step(l.batch.target_in.slice(1, t, t + 1));  // [B, V]
      REQUIRE(largest_difference(one, whole.slice(1, t, t + 1).squeeze(1)) < 5e-5);
    }
  }
}

TEST_CASE("beam search: beam 1 is greedy decoding without a cache, in a batch or alone") {
  Learned l;
  std::vector<std::vector<int64_t>> sources;
  for (int64_t b = 0; b < 6; ++b) sources.push_back(l.source(b));
  auto together = models::translate(l.model, sources, {.beam = 1});
  for (size_t b = 0; b < 6; ++b) {
    size_t limit = 2 * sources[b].size() + 10;
    Plain plain = greedy_without_cache(l.model, sources[b], limit);
    REQUIRE(together[b].tokens == plain.tokens);
    REQUIRE(together[b].log_probability ==
            Approx(plain.log_probability).epsilon(1e-4).margin(1e-4));
    REQUIRE(models::translate(l.model, {sources[b]}, {.beam = 1})[0].tokens == plain.tokens);
  }
}

TEST_CASE("beam search: beam search keeps its books, and is never worse than greedy here") {
  Learned l;
  int better = 0;
  auto all = models::beam_search(l.model, {l.batch.source, l.batch.source_lengths}, {.beam = 5});
  for (int64_t b = 0; b < 6; ++b) {
    const auto& list = all[static_cast<size_t>(b)];
    REQUIRE((!list.empty() && list.size() <= 5));
    for (size_t i = 0; i < list.size(); ++i) {
      const models::Hypothesis& h = list[i];
      REQUIRE(h.log_probability ==
              Approx(log_probability(l.model, l.source(b), h)).epsilon(1e-4).margin(2e-4));
      auto length = static_cast<int64_t>(h.tokens.size()) + h.ended;
      REQUIRE(h.score == Approx(h.log_probability / models::length_penalty(length, 0.6)));
      if (i > 0) REQUIRE(h.score <= list[i - 1].score);
      for (size_t j = 0; j < i; ++j) REQUIRE(h.tokens != list[j].tokens);
    }
    models::Hypothesis greedy = models::translate(l.model, {l.source(b)}, {.beam = 1})[0];
    REQUIRE(list[0].score >= greedy.score - 1e-4);
    better += list[0].score > greedy.score + 1e-4;
  }
  INFO(better << " of 6 sentences got a better translation from the beam");
  auto again = models::beam_search(l.model, {l.batch.source, l.batch.source_lengths}, {.beam = 5});
  for (size_t b = 0; b < 6; ++b) {
    REQUIRE(again[b].size() == all[b].size());
    for (size_t i = 0; i < all[b].size(); ++i) REQUIRE(again[b][i].score == all[b][i].score);
  }
}

TEST_CASE("beam search: a beam as wide as everything finds the best sentence there is") {
  Learned l(false, 5);  // undecided, so that greedy is likely wrong
  std::vector<int64_t> source = l.source(1);
  // All sentences of at most two tokens, by brute force.
  double best = -1e9;
  std::vector<int64_t> best_tokens;
  auto consider = [&](const std::vector<int64_t>& tokens, double sum) {
    double score = sum / models::length_penalty(static_cast<int64_t>(tokens.size()) + 1, 0.6);
    if (score > best) best = score, best_tokens = tokens;
  };
  std::vector<double> first = next_tokens(l.model, source, {});
  consider({}, first[3]);
  for (int64_t a = 1; a < 24; ++a) {
    if (a == 2 || a == 3) continue;
    std::vector<double> second = next_tokens(l.model, source, {a});
    consider({a}, first[static_cast<size_t>(a)] + second[3]);
  }
  models::BeamOptions wide{.beam = 24, .length_factor = 0, .length_extra = 1};
  models::Hypothesis found = models::translate(l.model, {source}, wide)[0];
  if (found.ended) {
    REQUIRE(found.tokens == best_tokens);
    REQUIRE(found.score == Approx(best).epsilon(1e-4));
  }
}

TEST_CASE("beam search: length penalty and longest length") {
  REQUIRE(models::length_penalty(1, 0.6) == 1);
  REQUIRE(models::length_penalty(7, 1) == 2);
  REQUIRE(models::length_penalty(100, 0) == 1);
  Learned l(false, 1);
  models::BeamOptions options{.beam = 3, .length_factor = 0, .length_extra = 4};
  for (const auto& list :
       models::beam_search(l.model, {l.batch.source, l.batch.source_lengths}, options))
    for (const models::Hypothesis& h : list) REQUIRE(h.tokens.size() <= 4);
}

TEST_CASE("beam search: bad calls") {
  Learned l(false, 1);
  auto search = [&](models::BeamOptions options) {
    return models::beam_search(l.model, {l.batch.source, l.batch.source_lengths}, options);
  };
  REQUIRE_THROWS_SAYING(search({.beam = 0}), ValueError, "1 <= beam <= 1000");
  REQUIRE_THROWS_SAYING(search({.beam = 1001}), ValueError, "got 1001");
  REQUIRE_THROWS_SAYING(search({.length_penalty = -1}), ValueError, "length_penalty >= 0");
  REQUIRE_THROWS_SAYING(search({.length_factor = 0, .length_extra = 0}), ValueError,
                        "longest length");
  REQUIRE_THROWS_SAYING(models::translate(l.model, {{}}, {}), ValueError, "without tokens");
  REQUIRE(models::translate(l.model, {}, {}).empty());
  l.model.train();
  REQUIRE_THROWS_SAYING(search({}), ValueError, "training mode");
  l.model.eval();
  NoGrad guard;
  l.model.state_dict().at("embedding.weight").fill_(std::nan(""));
  REQUIRE_THROWS_SAYING(search({}), NumericError, "not numbers");
}
