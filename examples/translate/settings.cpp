#include "settings.h"

#include <algorithm>

#include "../common/checks.h"

namespace heed::examples {

Settings settings_of(TrainSettings& s) {
  constexpr bool kMayChange = false;
  return {
      {"src", &s.src, "source sentences, one a line (.gz too); without it: the toy language pair",
       kMayChange},
      {"tgt", &s.tgt, "their translations", kMayChange},
      {"valid-src", &s.valid_src, "validation sentences; without them the end of --src is held out",
       kMayChange},
      {"valid-tgt", &s.valid_tgt, "their translations", kMayChange},
      {"skip-empty", &s.skip_empty, "leave out pairs with an empty side instead of stopping"},
      {"toy-pairs", &s.toy_pairs, "training pairs of the toy language pair"},
      {"tokenizer", &s.tokenizer, "word, bpe or unigram: one vocabulary for both languages"},
      {"vocab-size", &s.vocab_size, "its size; word: at most so many, 0 = all"},
      {"max-tokens", &s.max_tokens, "size of a batch, padding included"},
      {"max-length", &s.max_length, "longer sentences are left out of training"},
      {"preset", &s.preset, "tiny, base or big"},
      {"attention", &s.attention, "the encoder's attention, name:key=value,.."},
      {"decoder-attention", &s.decoder_attention, "the decoder's attention to itself"},
      {"cross-attention", &s.cross_attention, "the decoder's attention to the encoder"},
      {"precision", &s.precision,
       "f32, or bf16: weights and activations; optimizer and loss stay f32"},
      {"no-tie", &s.no_tie, "three matrices for source, target and output instead of one"},
      {"pre-norm", &s.pre_norm, "norms before each sublayer instead of after", true, "post-norm"},
      {"checkpoint-activations", &s.checkpoint_activations,
       "compute activations twice, to save memory"},
      {"dropout", &s.dropout, "of embeddings, feed-forward and residuals"},
      {"attention-dropout", &s.attention_dropout, "of attention weights; default: --dropout"},
      {"epochs", &s.epochs, "passes over the data", kMayChange},
      {"minutes", &s.minutes, "stop after so many minutes of training", kMayChange},
      {"label-smoothing", &s.label_smoothing, "part of the target given to all tokens"},
      {"lr", &s.lr, "highest learning rate"},
      {"schedule", &s.schedule, "inverse_sqrt, cosine or constant, after the warm-up"},
      {"warmup", &s.warmup, "steps until the learning rate is at its highest"},
      {"clip", &s.clip, "largest norm of the gradient; 0 = no clipping"},
      {"accumulate", &s.accumulate, "batches a step"},
      {"average", &s.average, "average the last so many checkpoints at the end", kMayChange},
      {"keep-last", &s.keep_last, "checkpoints to keep; at least --average", kMayChange},
      {"patience", &s.patience,
       "stop after so many epochs without a better validation loss; 0 = never", kMayChange},
      {"seed", &s.seed, "of weights, batches and dropout"},
      {"threads", &s.threads, "0 = all processors"},
      {"beam", &s.beam, "beam of the evaluation at the end", kMayChange},
      {"length-penalty", &s.length_penalty, "alpha of the beam search", kMayChange},
      {"bleu-sentences", &s.bleu_sentences, "sentences for the greedy BLEU of each epoch; 0 = none",
       kMayChange},
      {"out", &s.out, "directory for checkpoints, metrics and attention maps", kMayChange},
      {"resume", &s.resume, "go on with the run in --out", kMayChange},
      {"quiet", &s.quiet, "no progress", kMayChange},
  };
}

// The toy pair has no noise to be robust against: no dropout, no smoothing, and pre-norm, which
// gets there in half the steps.
TrainSettings toy_defaults() {
  TrainSettings s;
  s.tokenizer = "word";
  s.toy_pairs = 50000;
  s.max_tokens = 2048;
  s.pre_norm = true;
  s.lr = 0.004;
  s.warmup = 150;
  s.schedule = "cosine";
  s.epochs = 2;
  s.average = 1;
  return s;
}

// For some ten thousand pairs of real text.
TrainSettings file_defaults() {
  TrainSettings s;
  s.tokenizer = "bpe";
  s.vocab_size = 6000;
  s.max_tokens = 2048;
  s.dropout = 0.2;
  s.label_smoothing = 0.1;
  s.lr = 0.004;
  s.warmup = 800;
  s.schedule = "cosine";
  s.epochs = 30;
  s.average = 8;
  return s;
}

namespace {
void check(const TrainSettings& s) {
  require(s.src.empty() == s.tgt.empty(), "--src and --tgt are needed together");
  require(s.valid_src.empty() == s.valid_tgt.empty(),
          "--valid-src and --valid-tgt are needed together");
  require(!s.src.empty() || s.valid_src.empty(), "--valid-src needs --src and --tgt");
  require(!s.out.empty(), "--out: a directory expected");
  require_one_of("--tokenizer", s.tokenizer, {"word", "bpe", "unigram"});
  require_one_of("--preset", s.preset, models::transformer_presets());
  require_one_of("--precision", s.precision, {"f32", "bf16"});
  require_one_of("--schedule", s.schedule, {"inverse_sqrt", "cosine", "constant"});
  int64_t vocabulary = s.tokenizer == "word" ? 0 : 8;
  require_in_range({{"--toy-pairs", s.toy_pairs, s.is_toy() ? 1 : 0, 10'000'000},
                    {"--vocab-size", s.vocab_size, vocabulary},
                    {"--max-tokens", s.max_tokens, 8},
                    {"--max-length", s.max_length, 2},
                    {"--epochs", s.epochs, 0, 100'000},
                    {"--warmup", s.warmup, 0},
                    {"--accumulate", s.accumulate, 1},
                    {"--average", s.average, 0},
                    {"--keep-last", s.keep_last, 0},
                    {"--patience", s.patience, 0},
                    {"--seed", s.seed, 0, kAnyHigh},
                    {"--threads", s.threads, 0},
                    {"--beam", s.beam, 1, models::kMostBeams},
                    {"--bleu-sentences", s.bleu_sentences, 0}});
  require_probability({{"--dropout", s.dropout},
                       {"--attention-dropout", s.attention_dropout.value_or(0)},
                       {"--label-smoothing", s.label_smoothing}});
  require_positive("--lr", s.lr);
  require_not_negative(
      {{"--clip", s.clip}, {"--minutes", s.minutes}, {"--length-penalty", s.length_penalty}});
  require(s.epochs > 0 || s.minutes > 0, "--epochs or --minutes above 0 expected");
  require(s.schedule != "cosine" || s.epochs > 0,
          "--schedule cosine needs --epochs, which say where it ends");
}
}  // namespace

void complete(TrainSettings& s, const Settings& settings) {
  bool epochs = given(settings, "epochs"), minutes = given(settings, "minutes");
  require(!epochs || !minutes, "--epochs and --minutes: only one of them");
  require(!epochs || s.epochs > 0, str("--epochs ", s.epochs, ": at least 1 expected"));
  require(!minutes || s.minutes > 0, str("--minutes ", s.minutes, ": a number above 0 expected"));

  TrainSettings base = s.is_toy() ? toy_defaults() : file_defaults();
  if (s.resume) {
    read_run(settings_of(base), s.out, models::transformer_from_json);
    check_same_run(settings, settings_of(base), s.out);
  }
  fill(settings, settings_of(base));
  if (minutes) {  // instead of epochs, not beside them
    s.epochs = 0;
    if (s.schedule == "cosine" && !given(settings, "schedule") && !s.resume)
      s.schedule = "inverse_sqrt";
  }
  if (epochs) s.minutes = 0;
  s.keep_last = std::max({s.keep_last, s.average, int64_t{1}});
  check(s);
}

models::TransformerConfig model_config(const TrainSettings& s, int64_t vocab) {
  models::TransformerConfig c = models::transformer_preset(s.preset);
  c.vocab = vocab;
  c.tied = !s.no_tie;
  c.norm_first = s.pre_norm;
  c.dropout = s.dropout;
  c.attention_dropout = s.attention_dropout;
  c.attention = s.attention;
  c.decoder_attention = s.decoder_attention;
  c.cross_attention = s.cross_attention;
  c.max_length = s.max_length;
  c.checkpoint = s.checkpoint_activations;
  return c;
}

models::DecodeOptions decode_options(int64_t beam, double length_penalty) {
  models::DecodeOptions options;
  options.beam = beam;
  options.length_penalty = length_penalty;
  return options;
}

}  // namespace heed::examples
