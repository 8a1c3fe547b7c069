// A decoder-only language model in GPT-2's layout (Radford et al. 2019): token and learned position
// embeddings, pre-norm layers with gelu (tanh form), a final norm, the token matrix as output.
//
//   models::LanguageModelConfig config = models::language_model_preset("nano");
//   config.vocab = 260;
//   models::LanguageModel model(config);
//   Tensor loss = model.loss(inputs, targets);              // i64 [B, T] each
//   auto ids = model.generate(prompt, {.max_tokens = 100, .temperature = 0.8, .top_p = 0.95});
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heed/nn/embedding.h>
#include <heed/nn/position.h>
#include <heed/nn/transformer.h>

namespace heed::models {

struct LanguageModelConfig {
  int64_t vocab = 0;
  int64_t context = 1024;  // longest sequence
  int64_t width = 768, heads = 12, layers = 12;
  int64_t hidden = 0;                       // of the feed-forward networks; 0: 4 x width
  double dropout = 0.1;                     // embeddings, feed-forward, residuals
  std::optional<double> attention_dropout;  // empty: `dropout`, where the variant has it
  std::string attention = "dense";          // must have a causal form
  bool checkpoint = false;  // computes activations again in backward, to save memory
};

// nano (0.8 M parameters and the vocabulary's), mini (10 M), small (GPT-2's 124 M), medium (355 M).
LanguageModelConfig language_model_preset(const std::string& name);
const std::vector<std::string>& language_model_presets();
std::string to_json(const LanguageModelConfig& config);
LanguageModelConfig language_model_from_json(std::string_view json);  // ValueError

struct GenerateOptions {
  int64_t max_tokens = 100;
  double temperature = 1;  // 0: always the likeliest token
  int64_t top_k = 0;       // only the k likeliest; 0: all
  double top_p = 1;        // only the likeliest that together reach p; 1: all
  uint64_t seed = 0;
  int64_t stop = -1;                              // ends before this token; -1: no such token
  std::function<void(int64_t token)> on_token{};  // hears each one as it comes
};

class LanguageModel : public nn::Module {
 public:
  explicit LanguageModel(const LanguageModelConfig& config);  // ValueError: sizes without meaning

  Tensor forward(const Tensor& ids) const;                      // i64 [B, T] -> states [B, T, d]
  Tensor logits(const Tensor& states) const;                    // [.., d] -> [.., V]
  Tensor loss(const Tensor& ids, const Tensor& targets) const;  // mean over all tokens: []

  nn::DecoderState new_state(int64_t batch, int64_t capacity = 0) const;
  // New tokens [B, T] at `position` -> scores of what follows the last of them, [B, V].
  Tensor step(const Tensor& ids, int64_t position, nn::DecoderState& state) const;

  // The new tokens. Beyond `context`, the last half of it is taken in again at new positions.
  // ValueError: an empty prompt, options out of range, a model in training mode.
  std::vector<int64_t> generate(const std::vector<int64_t>& prompt,
                                const GenerateOptions& options) const;

  const LanguageModelConfig& config() const { return config_; }
  const nn::TransformerEncoder& stack() const { return stack_; }
  Tensor embed(const Tensor& ids, int64_t position = 0) const;  // [B, T] -> [B, T, d]
  std::string type_name() const override { return "LanguageModel"; }

 private:
  LanguageModelConfig config_;
  nn::Embedding wte_;         // [V, d], also the output
  nn::LearnedPositions wpe_;  // [context, d]
  nn::Dropout dropout_;
  nn::TransformerEncoder stack_;
};

// One token by GenerateOptions' rules: `logits` of the vocabulary, `uniform` in [0, 1).
int64_t sample_token(const std::vector<double>& logits, const GenerateOptions& options,
                     double uniform);

}  // namespace heed::models
