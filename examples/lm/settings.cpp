#include "settings.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <sstream>

#include <heed/train/checkpoint.h>

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

Settings stored_settings(LmSettings& s) {
  Settings settings = settings_of(s);
  std::erase_if(settings, [](const Setting& x) {
    return x.name == "out" || x.name == "resume" || x.name == "quiet";
  });
  return settings;
}

namespace {
void require(bool good, const std::string& what) {
  if (!good) throw ValueError(what);
}

void check(const LmSettings& s) {
  auto one_of = [](const char* flag, const std::string& value,
                   const std::vector<std::string>& allowed) {
    std::string list;
    for (const std::string& a : allowed) list += (list.empty() ? "" : ", ") + a;
    require(std::find(allowed.begin(), allowed.end(), value) != allowed.end(),
            str(flag, " ", value, ": one of ", list, " expected"));
  };
  one_of("--tokenizer", s.tokenizer, {"byte", "word", "bpe", "unigram"});
  one_of("--preset", s.preset, models::language_model_presets());
  one_of("--schedule", s.schedule, {"cosine", "inverse_sqrt", "constant"});
  require(s.text.empty() ? s.valid_text.empty() : true, "--valid-text needs --text");
  require(!s.out.empty(), "--out: a directory expected");
  struct Whole {
    const char* flag;
    int64_t value, low;
  };
  for (Whole w : {Whole{"--vocab-size", s.vocab_size, 8},
                  {"--batch", s.batch, 1},
                  {"--context", s.context, 2},
                  {"--epochs", s.epochs, 0},
                  {"--steps", s.steps, 0},
                  {"--warmup", s.warmup, 0},
                  {"--accumulate", s.accumulate, 1},
                  {"--eval-every", s.eval_every, 0},
                  {"--keep-last", s.keep_last, 1},
                  {"--patience", s.patience, 0},
                  {"--seed", s.seed, 0},
                  {"--threads", s.threads, 0}})
    require(w.value >= w.low, str(w.flag, " ", w.value, ": at least ", w.low, " expected"));
  auto part = [](const char* flag, double v) {
    require(v >= 0 && v < 1, str(flag, " ", v, ": 0 <= value < 1 expected"));
  };
  part("--dropout", s.dropout);
  part("--attention-dropout", s.attention_dropout.value_or(0));
  require(std::isfinite(s.lr) && s.lr > 0, str("--lr ", s.lr, ": a number above 0 expected"));
  for (auto [flag, v] :
       {std::pair("--clip", s.clip), {"--minutes", s.minutes}, {"--weight-decay", s.weight_decay}})
    require(std::isfinite(v) && v >= 0, str(flag, " ", v, ": at least 0 expected"));
  require(s.epochs > 0 || s.minutes > 0 || s.steps > 0,
          "--epochs, --steps or --minutes above 0 expected");
  require(s.schedule != "cosine" || s.epochs > 0 || s.steps > 0,
          "--schedule cosine needs --epochs or --steps");
}
}  // namespace

void complete(LmSettings& s, const Settings& settings) {
  auto given = [&](const char* name) {
    return std::any_of(settings.begin(), settings.end(),
                       [&](const Setting& x) { return x.name == name && x.given; });
  };
  int limits = given("epochs") + given("steps") + given("minutes");
  require(limits <= 1, "--epochs, --steps and --minutes: only one of them");
  LmSettings base;
  if (s.resume) {
    std::filesystem::path last = train::find_checkpoint(s.out);
    std::string config = train::read_config(last);
    try {
      models::language_model_from_json(config);  // is it a language model at all?
      models::read_section(config, "training", config_fields(stored_settings(base)));
    } catch (const ValueError& error) {
      throw ValueError(str(last.string(), ": ", error.what()));
    }
    check_same_run(settings, settings_of(base), s.out);
  }
  base.out = s.out;
  base.resume = s.resume;
  fill(settings, settings_of(base));
  if (limits == 1) {
    if (!given("epochs")) s.epochs = 0;
    if (!given("steps")) s.steps = 0;
    if (!given("minutes")) s.minutes = 0;
    if (given("minutes") && s.schedule == "cosine" && !given("schedule") && !s.resume)
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
