// Everything that `translate train` can be told.
#pragma once

#include <cstdint>
#include <string>

#include <heed/models/beam_search.h>
#include <heed/models/transformer.h>

#include "../common/tokenizer_settings.h"
#include "../common/training.h"

namespace heed::examples {

struct TrainSettings {
  // Data. Without src: the toy language pair.
  std::string src, tgt, valid_src, valid_tgt;
  bool skip_empty = false;
  int64_t toy_pairs = 0;
  TokenizerSettings tokenizer;
  int64_t max_tokens = 0, max_length = 256;
  // Model.
  std::string preset = "tiny";  // its sizes
  std::string precision = "f32";
  models::TransformerConfig model{.layer = {.dropout = 0}};
  bool no_tie = false;
  // Training.
  double label_smoothing = 0;
  int64_t average = 0;
  TrainingSettings training{.out = "translate-run"};
  // Evaluation.
  int64_t beam = 5, bleu_sentences = 200;
  double length_penalty = 0.6;

  bool is_toy() const { return src.empty(); }
};

Settings settings_of(TrainSettings& s);
TrainSettings toy_defaults();
TrainSettings file_defaults();

// Fills in defaults, or with `resume` what the run's last checkpoint says, and checks all of it.
// `settings` are those of `s`, with what the command line gave marked. ValueError names the flag.
void complete(TrainSettings& s, const Settings& settings);

models::TransformerConfig model_config(const TrainSettings& s, int64_t vocab);
models::BeamOptions beam_options(int64_t beam, double length_penalty);

}  // namespace heed::examples
