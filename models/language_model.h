// A decoder-only language model in GPT-2's layout (Radford et al. 2019): token and learned position
// embeddings, pre-norm layers with gelu (tanh form), a final norm, the token matrix as output.
//
//   models::LanguageModelConfig config = models::language_model_preset("nano");
//   config.vocab = 260;
//   models::LanguageModel model(config);
//   Tensor loss = model.loss(inputs, targets);              // i64 [B, T] each
//   auto ids = models::generate(model, prompt, {.temperature = 0.8});   // models/sample.h
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heed/models/steppable.h>
#include <heed/nn/embedding.h>
#include <heed/nn/position.h>
#include <heed/nn/transformer.h>

namespace heed::models {

struct LanguageModelConfig {
  int64_t vocab = 0;
  int64_t context = 1024;  // longest sequence; the model sets attention.max_length to it
  // GPT-2's layers. hidden 0 is 4 x width; the variant must have a causal form, in which the model
  // uses it; dropout is also that of the embeddings.
  nn::TransformerStackConfig stack{.layer = {.width = 768,
                                             .hidden = 0,
                                             .activation = "gelu_tanh",
                                             .norm_first = true,
                                             .attention = {.heads = 12}},
                                   .layers = 12};
};

// nano (0.8 M parameters and the vocabulary's), mini (10 M), small (GPT-2's 124 M), medium (355 M);
// width, heads and layers are its sizes.
LanguageModelConfig language_model_preset(const std::string& name);
void set_preset_sizes(LanguageModelConfig& config, const std::string& name);
const std::vector<std::string>& language_model_presets();
// ValueError: positions in the stack and other settings that a config.json does not keep.
std::string to_json(const LanguageModelConfig& config);
LanguageModelConfig language_model_from_json(std::string_view json);  // ValueError

class LanguageModel : public Steppable {
 public:
  explicit LanguageModel(const LanguageModelConfig& config);  // ValueError: sizes without meaning

  Tensor forward(const Tensor& ids) const;                      // i64 [B, T] -> states [B, T, d]
  Tensor logits(const Tensor& states) const;                    // [.., d] -> [.., V]
  Tensor loss(const Tensor& ids, const Tensor& targets) const;  // mean over all tokens: []

  Vocabulary vocabulary() const override { return {.size = config_.vocab}; }
  std::optional<int64_t> limit() const override { return config_.context; }
  std::unique_ptr<Decoding> start(const DecodingInputs& inputs,
                                  int64_t capacity = 0) const override;

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

}  // namespace heed::models
