#include "settings.h"

#include <algorithm>
#include <sstream>

#include "../common/checks.h"

namespace heed::examples {

Settings settings_of(LmSettings& s) {
  constexpr bool kMayChange = false;
  return {
      {"text", &s.text, "text to learn from (.gz too); without it: a generated one", kMayChange},
      {"valid-text", &s.valid_text, "text for validation; without it the end of --text is held out",
       kMayChange},
      {"tokenizer", &s.tokenizer, "byte, word, bpe or unigram"},
      {"vocab-size", &s.vocab_size, "of word (at most so many), bpe and unigram"},
      {"batch", &s.batch, "windows a batch"},
      {"context", &s.context, "tokens a window"},
      {"preset", &s.preset, "nano, mini, small or medium"},
      {"attention", &s.attention, "name:key=value,..; needs a causal form"},
      {"precision", &s.precision,
       "f32, or bf16: weights and activations; optimizer and loss stay f32"},
      {"checkpoint-activations", &s.checkpoint_activations,
       "compute activations twice, to save memory"},
      {"dropout", &s.dropout, "of embeddings, feed-forward and residuals"},
      {"attention-dropout", &s.attention_dropout, "of attention weights; default: --dropout"},
      {"epochs", &s.epochs, "passes over the text", kMayChange},
      {"steps", &s.steps, "stop after so many steps", kMayChange},
      {"minutes", &s.minutes, "stop after so many minutes of training", kMayChange},
      {"lr", &s.lr, "highest learning rate"},
      {"schedule", &s.schedule, "cosine (needs --epochs or --steps), inverse_sqrt or constant"},
      {"warmup", &s.warmup, "steps until the learning rate is at its highest"},
      {"clip", &s.clip, "largest norm of the gradient; 0 = no clipping"},
      {"weight-decay", &s.weight_decay, "of matrices"},
      {"accumulate", &s.accumulate, "batches a step"},
      {"eval-every", &s.eval_every, "steps between evaluations; 0 = at each epoch's end",
       kMayChange},
      {"keep-last", &s.keep_last, "checkpoints to keep", kMayChange},
      {"patience", &s.patience, "stop after so many evaluations without a better one; 0 = never",
       kMayChange},
      {"seed", &s.seed, "of weights, batches and dropout"},
      {"threads", &s.threads, "0 = all processors"},
      {"out", &s.out, "directory for checkpoints and metrics", kMayChange},
      {"resume", &s.resume, "go on with the run in --out", kMayChange},
      {"quiet", &s.quiet, "no progress", kMayChange},
  };
}

namespace {
void check(const LmSettings& s) {
  require_one_of("--tokenizer", s.tokenizer, {"byte", "word", "bpe", "unigram"});
  require_one_of("--preset", s.preset, models::language_model_presets());
  require_one_of("--precision", s.precision, {"f32", "bf16"});
  require_one_of("--schedule", s.schedule, {"cosine", "inverse_sqrt", "constant"});
  require(!s.text.empty() || s.valid_text.empty(), "--valid-text needs --text");
  require(!s.out.empty(), "--out: a directory expected");
  require_in_range({{"--vocab-size", s.vocab_size, 8},
                    {"--batch", s.batch, 1, 1'000'000},
                    {"--context", s.context, 2, 1'000'000},
                    {"--epochs", s.epochs, 0, 100'000},
                    {"--steps", s.steps, 0},
                    {"--warmup", s.warmup, 0},
                    {"--accumulate", s.accumulate, 1},
                    {"--eval-every", s.eval_every, 0},
                    {"--keep-last", s.keep_last, 1},
                    {"--patience", s.patience, 0},
                    {"--seed", s.seed, 0, kAnyHigh},
                    {"--threads", s.threads, 0}});
  require_probability(
      {{"--dropout", s.dropout}, {"--attention-dropout", s.attention_dropout.value_or(0)}});
  require_positive("--lr", s.lr);
  require_not_negative(
      {{"--clip", s.clip}, {"--minutes", s.minutes}, {"--weight-decay", s.weight_decay}});
  require(s.epochs > 0 || s.minutes > 0 || s.steps > 0,
          "--epochs, --steps or --minutes above 0 expected");
  require(s.schedule != "cosine" || s.epochs > 0 || s.steps > 0,
          "--schedule cosine needs --epochs or --steps");
}
}  // namespace

void complete(LmSettings& s, const Settings& settings) {
  bool epochs = given(settings, "epochs"), steps = given(settings, "steps"),
       minutes = given(settings, "minutes");
  require(epochs + steps + minutes <= 1, "--epochs, --steps and --minutes: only one of them");
  LmSettings base;
  if (s.resume) {
    read_run(settings_of(base), s.out, models::language_model_from_json);
    check_same_run(settings, settings_of(base), s.out);
  }
  fill(settings, settings_of(base));
  if (epochs || steps || minutes) {
    if (!epochs) s.epochs = 0;
    if (!steps) s.steps = 0;
    if (!minutes) s.minutes = 0;
    if (minutes && s.schedule == "cosine" && !given(settings, "schedule") && !s.resume)
      s.schedule = "inverse_sqrt";
  }
  check(s);
}

std::vector<int64_t> encode_text(const data::Tokenizer& tokenizer, const std::string& text) {
  if (std::string_view(tokenizer.kind()) == "byte") return tokenizer.encode(text);
  std::vector<int64_t> ids;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<int64_t> part = tokenizer.encode(line);
    ids.insert(ids.end(), part.begin(), part.end());
    ids.push_back(data::kEos);
  }
  return ids;
}

std::string decode_text(const data::Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::string text;
  for (auto begin = ids.begin(); begin != ids.end();) {
    auto end = std::find(begin, ids.end(), data::kEos);
    text += tokenizer.decode(std::vector<int64_t>(begin, end));
    if (end == ids.end()) break;
    text += '\n';
    begin = end + 1;
  }
  return text;
}

}  // namespace heed::examples
