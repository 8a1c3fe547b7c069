#include <heed/models/sample.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <heed/autograd/ops/range_flag.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/models/continuations.h>

namespace heed::models {

int64_t sample_token(const std::vector<double>& logits, const SampleOptions& options,
                     double uniform) {
  for (double x : logits)
    if (std::isnan(x)) throw NumericError("sample_token: a score is not a number");
  std::vector<int64_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto logit = [&](int64_t id) { return logits[static_cast<size_t>(id)]; };
  std::stable_sort(order.begin(), order.end(),
                   [&](int64_t a, int64_t b) { return logit(a) > logit(b); });
  if (options.temperature == 0) return order.front();
  if (options.top_k > 0 && options.top_k < static_cast<int64_t>(order.size()))
    order.resize(static_cast<size_t>(options.top_k));

  std::vector<double> weights;
  double total = 0;
  for (int64_t id : order) {
    weights.push_back(std::exp((logit(id) - logit(order.front())) / options.temperature));
    total += weights.back();
  }
  double kept = 0;
  size_t count = 0;  // at least one: top_p > 0
  while (count < weights.size() && (count == 0 || kept < options.top_p * total))
    kept += weights[count++];

  double at = uniform * kept;
  for (size_t i = 0; i < count; ++i)
    if ((at -= weights[i]) < 0) return order[i];
  return order[count - 1];  // rounding
}

static void check(const SampleOptions& o) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("sample: " + what);
  };
  require(o.max_tokens >= 0, str("max_tokens >= 0 expected, got ", o.max_tokens));
  require(o.temperature >= 0, str("temperature >= 0 expected, got ", o.temperature));
  require(o.top_k >= 0, str("top_k >= 0 expected, got ", o.top_k));
  require(o.top_p > 0 && o.top_p <= 1, str("0 < top_p <= 1 expected, got ", o.top_p));
}

std::vector<std::vector<int64_t>> sample(const Steppable& model, const DecodingInputs& inputs,
                                         const SampleOptions& options) {
  Vocabulary vocabulary = model.vocabulary();
  check(options);
  check(options.rules, vocabulary, options.stop);
  Continuations texts(model, inputs, options.max_tokens);
  int64_t stop = options.stop.value_or(vocabulary.eos);
  Generator random(options.seed);
  std::vector<std::vector<int64_t>> made(texts.texts().size());
  std::vector<int64_t> open(made.size());  // of each text, its row of the inputs
  std::iota(open.begin(), open.end(), int64_t{0});
  for (int64_t i = 0; i < options.max_tokens && !open.empty(); ++i) {
    Tensor logits = penalize(texts.next(), options.rules, texts.texts());  // [R, V]
    auto forbidden = forbidden_tokens(options.rules, vocabulary, texts.texts(), stop);
    std::vector<double> all = logits.to_vector();
    std::vector<int64_t> rows, tokens, still_open;
    for (size_t r = 0; r < open.size(); ++r) {
      if (static_cast<int64_t>(forbidden[r].size()) == vocabulary.size) continue;
      auto begin = all.begin() + static_cast<int64_t>(r) * vocabulary.size;
      std::vector<double> scores(begin, begin + vocabulary.size);
      for (int64_t id : forbidden[r])
        scores[static_cast<size_t>(id)] = -std::numeric_limits<double>::infinity();
      int64_t token = sample_token(scores, options, random.uniform());
      if (token == stop) continue;
      made[static_cast<size_t>(open[r])].push_back(token);
      if (options.on_token) options.on_token(open[r], token);
      rows.push_back(static_cast<int64_t>(r));
      tokens.push_back(token);
      still_open.push_back(open[r]);
    }
    open = std::move(still_open);
    if (!open.empty()) texts.append(rows, tokens);
  }
  refuse_out_of_range("sample", model.device());
  return made;
}

std::vector<int64_t> generate(const Steppable& model, const std::vector<int64_t>& prompt,
                              const SampleOptions& options) {
  return sample(model, {.prompts = {prompt}}, options).front();
}

}  // namespace heed::models
