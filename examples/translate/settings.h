// Everything that `translate train` can be told.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <heed/models/decode.h>
#include <heed/models/transformer.h>

#include "../common/settings.h"

namespace heed::examples {

struct TrainSettings {
  // Data. Without src: the toy language pair.
  std::string src, tgt, valid_src, valid_tgt;
  bool skip_empty = false;
  int64_t toy_pairs = 0;
  std::string tokenizer;
  int64_t vocab_size = 0;
  int64_t max_tokens = 0, max_length = 256;
  // Model.
  std::string preset = "tiny", attention = "dense", decoder_attention = "dense",
              cross_attention = "dense";
  std::string precision = "f32";
  bool no_tie = false, pre_norm = false, checkpoint_activations = false;
  double dropout = 0;
  std::optional<double> attention_dropout;
  // Training.
  int64_t epochs = 0;
  double minutes = 0;
  double label_smoothing = 0, lr = 0, clip = 1;
  std::string schedule = "inverse_sqrt";
  int64_t warmup = 0, accumulate = 1, average = 0, keep_last = 0, patience = 0;
  int64_t seed = 1, threads = 0;
  // Evaluation.
  int64_t beam = 5, bleu_sentences = 200;
  double length_penalty = 0.6;
  // The run.
  std::string out = "translate-run";
  bool resume = false, quiet = false;

  bool is_toy() const { return src.empty(); }
};

Settings settings_of(TrainSettings& s);
TrainSettings toy_defaults();
TrainSettings file_defaults();

// Fills in defaults, or with `resume` what the run's last checkpoint says, and checks all of it.
// `settings` are those of `s`, with what the command line gave marked. ValueError names the flag.
void complete(TrainSettings& s, const Settings& settings);

models::TransformerConfig model_config(const TrainSettings& s, int64_t vocab);
models::DecodeOptions decode_options(int64_t beam, double length_penalty);

}  // namespace heed::examples
