// Everything that `lm train` and `lm generate` can be told.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/data/tokenizer.h>
#include <heed/models/language_model.h>

#include "../common/settings.h"

namespace heed::examples {

struct LmSettings {
  std::string text, valid_text;  // without text: a generated one
  std::string tokenizer = "byte";
  int64_t vocab_size = 4000, batch = 32, context = 128;
  std::string preset = "nano", attention = "dense", precision = "f32";
  bool checkpoint_activations = false;
  double dropout = 0.1;
  std::optional<double> attention_dropout;
  int64_t epochs = 3, steps = 0;
  double minutes = 0;
  double lr = 3e-3, clip = 1, weight_decay = 0.1;
  std::string schedule = "cosine";
  int64_t warmup = 100, accumulate = 1, keep_last = 2, eval_every = 0, patience = 0;
  int64_t seed = 1, threads = 0;
  std::string out = "lm-run";
  bool resume = false, quiet = false;
};

struct GenerateSettings {
  std::string model, prompt;
  int64_t tokens = 300, top_k = 0, seed = 1, threads = 0;
  double temperature = 0.8, top_p = 1;
};

Settings settings_of(LmSettings& s);
void complete(LmSettings& s, const Settings& settings);

int train_command(const LmSettings& settings);
int generate_command(const GenerateSettings& settings);

// Text as one stream of tokens. Bytes include line ends; for other tokenizers a line ends with eos.
std::vector<int64_t> encode_text(const data::Tokenizer& tokenizer, const std::string& text);
std::string decode_text(const data::Tokenizer& tokenizer, const std::vector<int64_t>& ids);

}  // namespace heed::examples
