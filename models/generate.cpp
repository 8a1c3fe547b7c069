// Sampling from a LanguageModel.
#include <algorithm>
#include <cmath>
#include <numeric>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/models/language_model.h>

namespace heed::models {

int64_t sample_token(const std::vector<double>& logits, const GenerateOptions& options,
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

std::vector<int64_t> LanguageModel::generate(const std::vector<int64_t>& prompt,
                                             const GenerateOptions& options) const {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("generate: " + what);
  };
  require(!prompt.empty(), "a prompt of at least one token expected");
  require(options.max_tokens >= 0, str("max_tokens >= 0 expected, got ", options.max_tokens));
  require(options.temperature >= 0, str("temperature >= 0 expected, got ", options.temperature));
  require(options.top_k >= 0, str("top_k >= 0 expected, got ", options.top_k));
  require(options.top_p > 0 && options.top_p <= 1,
          str("0 < top_p <= 1 expected, got ", options.top_p));
  require(!is_training(), "the model is in training mode: call eval() before");

  NoGrad guard;
  Generator random(options.seed);
  std::vector<int64_t> text = prompt, made;
  nn::DecoderState state;
  int64_t taken = 0;  // tokens in the state
  std::vector<int64_t> fresh = text;
  for (int64_t i = 0; i < options.max_tokens; ++i) {
    bool full = taken + static_cast<int64_t>(fresh.size()) > config_.context;
    if (full) {  // learned positions end here: begin again with the last half
      int64_t keep = std::min<int64_t>(config_.context / 2, static_cast<int64_t>(text.size()));
      fresh.assign(text.end() - keep, text.end());
    }
    if (full || i == 0) {
      state = new_state(1, config_.context);
      taken = 0;
    }
    auto count = static_cast<int64_t>(fresh.size());
    Tensor logits = step(Tensor::from(fresh, {1, count}), taken, state);  // [1, V]
    taken += count;
    int64_t token = sample_token(logits.to_vector(), options, random.uniform());
    if (token == options.stop) break;
    made.push_back(token);
    text.push_back(token);
    fresh = {token};
    if (options.on_token) options.on_token(token);
  }
  return made;
}

}  // namespace heed::models
