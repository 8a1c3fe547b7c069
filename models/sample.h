// Sampling from any model that decodes step by step: each token is drawn from the model's
// distribution. The same input, options and seed give the same tokens.
//
//   model.eval();
//   auto ids = models::generate(model, prompt, {.max_tokens = 100, .temperature = 0.8});
//   auto all = models::sample(translator, {.source = ids, .lengths = lengths}, {.top_k = 10});
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include <heed/models/steppable.h>
#include <heed/models/token_rules.h>

namespace heed::models {

struct SampleOptions {
  int64_t max_tokens = 100;
  double temperature = 1;  // 0: always the likeliest token
  int64_t top_k = 0;       // only the k likeliest; 0: all
  double top_p = 1;        // only the likeliest that together reach p; 1: all
  uint64_t seed = 0;
  std::optional<int64_t> stop{};  // the token that ends a text; empty: the model's eos, if any
  TokenRules rules{};
  std::function<void(int64_t row, int64_t token)> on_token{};  // called with each as it is drawn
};

// The new tokens of each row of the inputs, without the one that ended it. A row also ends where
// the rules leave no token. ValueError: options out of range, a model in training mode, inputs that
// the model has no use for, a source token outside the vocabulary (on a device other than the CPU
// at the end, without its place).
std::vector<std::vector<int64_t>> sample(const Steppable& model, const DecodingInputs& inputs,
                                         const SampleOptions& options = {});

// The same for one prompt and a model without a source.
std::vector<int64_t> generate(const Steppable& model, const std::vector<int64_t>& prompt,
                              const SampleOptions& options = {});

// One token: `logits` of the vocabulary, -inf for what must not come; `uniform` in [0, 1).
int64_t sample_token(const std::vector<double>& logits, const SampleOptions& options,
                     double uniform);

}  // namespace heed::models
