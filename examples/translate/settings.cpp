#include "settings.h"

#include <algorithm>

#include "../common/checks.h"
#include "../common/layer_settings.h"

namespace heed::examples {

Settings settings_of(TrainSettings& s) {
  constexpr bool kMayChange = false;
  nn::TransformerLayerConfig& layer = s.model.layer;
  Settings first = {
      {"src", &s.src, "source sentences, one a line (.gz too); without it: the toy language pair",
       kMayChange},
      {"tgt", &s.tgt, "their translations", kMayChange},
      {"valid-src", &s.valid_src, "validation sentences; without them the end of --src is held out",
       kMayChange},
      {"valid-tgt", &s.valid_tgt, "their translations", kMayChange},
      {"skip-empty", &s.skip_empty, "leave out pairs with an empty side instead of stopping"},
      {"toy-pairs", &s.toy_pairs, "training pairs of the toy language pair"},
  };
  Settings sizes = {
      {"max-tokens", &s.max_tokens, "size of a batch, padding included"},
      {"max-length", &s.max_length, "longer sentences are left out of training"},
      {"preset", &s.preset, "tiny, base or big"},
      {"attention", &layer.attention.variant, "the encoder's attention, name:key=value,.."},
      {"decoder-attention", &s.model.decoder_variant, "the decoder's attention to itself"},
      {"cross-attention", &layer.cross_variant, "the decoder's attention to the encoder"},
  };
  Settings form = {
      {"no-tie", &s.no_tie, "three matrices for source, target and output instead of one"},
      {"pre-norm", &layer.norm_first, "norms before each sublayer instead of after", true,
       "post-norm"},
  };
  Settings last = {
      {"label-smoothing", &s.label_smoothing, "part of the target given to all tokens"},
      {"average", &s.average, "keep the last so many checkpoints, and average them at the end",
       kMayChange},
      {"beam", &s.beam, "beam of the evaluation at the end", kMayChange},
      {"length-penalty", &s.length_penalty, "alpha of the beam search", kMayChange},
      {"bleu-sentences", &s.bleu_sentences, "sentences for the greedy BLEU of each epoch; 0 = none",
       kMayChange},
  };
  return joined(
      {first, settings_of(s.tokenizer, "word, bpe or unigram: one vocabulary for both languages"),
       sizes, precision_settings(layer, s.precision), form,
       layer_settings(layer, s.model.recompute), last, settings_of(s.training)});
}

// The toy pair has no noise to be robust against: no dropout, no smoothing, and pre-norm, which
// gets there in half the steps.
TrainSettings toy_defaults() {
  TrainSettings s;
  s.tokenizer.kind = "word";
  s.toy_pairs = 50000;
  s.max_tokens = 2048;
  s.model.layer.norm_first = true;
  s.training.lr = 0.004;
  s.training.warmup = 150;
  s.training.epochs = 2;
  s.average = 1;
  return s;
}

// For some ten thousand pairs of real text.
TrainSettings file_defaults() {
  TrainSettings s;
  s.tokenizer.kind = "bpe";
  s.tokenizer.vocab_size = 6000;
  s.max_tokens = 2048;
  s.model.layer.dropout = 0.2;
  s.label_smoothing = 0.1;
  s.training.lr = 0.004;
  s.training.warmup = 800;
  s.training.epochs = 30;
  s.average = 8;
  return s;
}

namespace {
void check(const TrainSettings& s) {
  require(s.src.empty() == s.tgt.empty(), "--src and --tgt are needed together");
  require(s.valid_src.empty() == s.valid_tgt.empty(),
          "--valid-src and --valid-tgt are needed together");
  require(!s.src.empty() || s.valid_src.empty(), "--valid-src needs --src and --tgt");
  check(s.tokenizer, {"word", "bpe", "unigram"});
  require_one_of("--preset", s.preset, models::transformer_presets());
  check_precision(s.precision);
  require_in_range({{"--toy-pairs", s.toy_pairs, s.is_toy() ? 1 : 0, 10'000'000},
                    {"--max-tokens", s.max_tokens, 8},
                    {"--max-length", s.max_length, 2},
                    {"--average", s.average, 0},
                    {"--beam", s.beam, 1, models::kMostBeams},
                    {"--bleu-sentences", s.bleu_sentences, 0}});
  check_dropout(s.model.layer);
  require_probability({{"--label-smoothing", s.label_smoothing}});
  require_not_negative({{"--length-penalty", s.length_penalty}});
  check(s.training);
}
}  // namespace

void complete(TrainSettings& s, const Settings& settings) {
  complete(s, settings, s.is_toy() ? toy_defaults() : file_defaults(),
           models::transformer_from_json);
  require_in_range({{"--keep-last", s.training.keep_last, 0}});
  s.training.keep_last = std::max({s.training.keep_last, s.average, int64_t{1}});
  check(s);
}

models::TransformerConfig model_config(const TrainSettings& s, int64_t vocab) {
  models::TransformerConfig c = s.model;
  models::set_preset_sizes(c, s.preset);
  c.vocab = vocab;
  c.tied = !s.no_tie;
  c.layer.attention.max_length = s.max_length;
  return c;
}

models::BeamOptions beam_options(int64_t beam, double length_penalty) {
  return {.beam = beam, .length_penalty = length_penalty};
}

}  // namespace heed::examples
