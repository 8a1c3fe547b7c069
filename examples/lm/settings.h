// Everything that `lm train` and `lm generate` can be told.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <heed/data/tokenizer.h>
#include <heed/models/language_model.h>
#include <heed/models/token_rules.h>

#include "../common/tokenizer_settings.h"
#include "../common/training.h"

namespace heed::examples {

struct LmSettings {
  std::string text, valid_text;  // without text: a generated one
  TokenizerSettings tokenizer{.kind = "byte", .vocab_size = 4000};
  int64_t batch = 32;
  std::string preset = "nano";  // sizes of the model
  std::string precision = "f32";
  models::LanguageModelConfig model{.context = 128};
  double weight_decay = 0.1;
  int64_t eval_every = 0;
  TrainingSettings training{
      .epochs = 3, .lr = 3e-3, .warmup = 100, .keep_last = 2, .out = "lm-run"};
};

struct GenerateSettings {
  std::string model, prompt;
  int64_t tokens = 300, top_k = 0, seed = 1, threads = 0;
  double temperature = 0.8, top_p = 1;
  int64_t beam = 0;  // 0: sampling
  models::TokenRules rules;
};

Settings settings_of(LmSettings& s);
void complete(LmSettings& s, const Settings& settings);

models::LanguageModelConfig model_config(const LmSettings& s, int64_t vocab);

int train_command(const LmSettings& settings);
int generate_command(const GenerateSettings& settings);

// Text as one stream of tokens. Bytes include line ends; for other tokenizers a line ends with eos.
std::vector<int64_t> encode_text(const data::Tokenizer& tokenizer, const std::string& text);
std::string decode_text(const data::Tokenizer& tokenizer, const std::vector<int64_t>& ids);

}  // namespace heed::examples
