// `lm train`: a language model from a text.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <heed/core/parallel.h>
#include <heed/data/lines.h>
#include <heed/data/sentence_piece.h>
#include <heed/data/toy_translation.h>
#include <heed/data/vocab.h>
#include <heed/data/windows.h>
#include <heed/train/batch_ahead.h>
#include <heed/train/evaluation_mode.h>
#include <heed/train/trainer.h>

#include "../common/checks.h"
#include "../common/program.h"
#include "settings.h"

namespace heed::examples {

namespace {
std::string load_text(const LmSettings& s) {
  std::string text;
  if (s.text.empty()) {
    for (const std::string& line :
         data::make_toy_pairs(20000, static_cast<uint64_t>(s.seed)).source)
      text += line + "\n";
    return text;
  }
  text = data::read_text(s.text);
  if (text.find_first_not_of(" \t\n") == std::string::npos)
    throw IoError(str(s.text, ": no text in it"));
  return text;
}

std::unique_ptr<data::Tokenizer> make_tokenizer(const LmSettings& s, const std::string& text) {
  if (s.tokenizer == "byte") return std::make_unique<data::ByteTokenizer>();
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  if (s.tokenizer == "word")
    return std::make_unique<data::WordVocab>(
        data::WordVocab::build(lines, {.max_size = s.vocab_size}));
  auto algorithm = s.tokenizer == "bpe" ? data::SentencePieceAlgorithm::bpe
                                        : data::SentencePieceAlgorithm::unigram;
  return std::make_unique<data::SentencePiece>(
      data::SentencePiece::train(lines, {.vocab_size = s.vocab_size, .algorithm = algorithm}));
}

models::LanguageModelConfig model_config(const LmSettings& s, int64_t vocab) {
  models::LanguageModelConfig c = models::language_model_preset(s.preset);
  c.vocab = vocab;
  c.context = s.context;
  c.dropout = s.dropout;
  c.attention_dropout = s.attention_dropout;
  c.attention = s.attention;
  c.checkpoint = s.checkpoint_activations;
  return c;
}

train::Schedule make_schedule(const LmSettings& s, const data::TokenWindows& windows) {
  if (s.schedule == "constant") return train::constant_schedule(s.lr, s.warmup);
  if (s.schedule == "inverse_sqrt")
    return train::inverse_sqrt_schedule(s.lr, std::max<int64_t>(s.warmup, 1));
  int64_t steps = s.steps;
  if (steps == 0)
    steps = planned_steps(s.epochs, s.accumulate, [&](int64_t e) { return windows.count(e); });
  return train::cosine_schedule(s.lr, std::max(steps, s.warmup + 1), s.warmup, s.lr / 10);
}

double mean_loss(const models::LanguageModel& model, const data::TokenWindows& windows) {
  double sum = 0, tokens = 0;
  for (int64_t i = 0; i < windows.count(0); ++i) {
    data::TokenBatch batch = windows.get(0, i);
    auto count = static_cast<double>(batch.inputs.numel());
    sum += model.loss(Tensor(batch.inputs), Tensor(batch.targets)).item() * count;
    tokens += count;
  }
  return sum / tokens;
}
}  // namespace

int train_command(const LmSettings& s) {
  set_threads(s.threads);
  // Whatever can be wrong with the model is found before the data is read.
  models::LanguageModel probe(model_config(s, 4));
  std::string text = load_text(s);
  auto tokenizer = s.resume ? data::load_tokenizer(train::find_checkpoint(s.out) + "/tokenizer")
                            : make_tokenizer(s, text);
  std::vector<int64_t> ids = encode_text(*tokenizer, text), valid_ids;
  if (!s.valid_text.empty()) {
    valid_ids = encode_text(*tokenizer, data::read_text(s.valid_text));
  } else {
    auto held = std::max(static_cast<int64_t>(ids.size()) / 20, s.context + 1);
    if (static_cast<int64_t>(ids.size()) < 2 * held)
      throw ValueError(str(s.text, ": at least ", 2 * held, " tokens expected for --context ",
                           s.context, ", got ", ids.size()));
    valid_ids.assign(ids.end() - held, ids.end());
    ids.resize(ids.size() - static_cast<size_t>(held));
  }
  auto seed = static_cast<uint64_t>(s.seed);
  data::TokenWindows windows(ids, {.batch = s.batch, .length = s.context, .seed = seed});
  data::TokenWindows valid(valid_ids, {.batch = s.batch, .length = s.context, .shuffle = false});

  manual_seed(seed);
  models::LanguageModel model(model_config(s, tokenizer->size()));
  model.to(dtype_from_name(s.precision));
  bool without = s.dropout > 0 && !s.attention_dropout &&
                 model.stack().layer(0).self_attn.attention_dropout() == 0;
  std::printf("lm: %s in GPT-2's layout, %lld parameters in %s, %d threads, %s, attention: %s%s\n",
              s.preset.c_str(), static_cast<long long>(model.parameter_count()),
              s.precision.c_str(), num_threads(), config_value("instruction set").c_str(),
              s.attention.c_str(), without ? " (no dropout on its weights)" : "");
  std::printf(
      "%s: %zu tokens to learn from, %zu for validation; %lld tokens in the vocabulary (%s), %lld "
      "batches an epoch\n",
      s.text.empty() ? "generated text" : s.text.c_str(), ids.size(), valid_ids.size(),
      static_cast<long long>(tokenizer->size()), s.tokenizer.c_str(),
      static_cast<long long>(windows.count(0)));
  std::fflush(stdout);

  train::AdamW optimizer(
      train::decay_matrices(model, {.beta2 = 0.99, .weight_decay = s.weight_decay}));
  train::BatchAhead<data::TokenBatch> ahead(
      [&](int64_t epoch) { return windows.count(epoch); },
      [&](int64_t epoch, int64_t index) { return windows.get(epoch, index); });
  train::TrainTask task;
  task.batches = [&](int64_t epoch) { return windows.count(epoch); };
  task.step = [&](int64_t epoch, int64_t index) -> train::StepResult {
    const data::TokenBatch& batch = ahead.get(epoch, index);
    return {model.loss(Tensor(batch.inputs), Tensor(batch.targets)), batch.inputs.numel()};
  };
  task.evaluate = [&] { return mean_loss(model, valid); };
  task.on_evaluate = [&](const train::TrainState&, double loss) {
    train::EvaluationMode scope(model);
    std::vector<int64_t> prompt(valid_ids.begin(),
                                valid_ids.begin() + std::min<int64_t>(16, s.context / 2));
    std::vector<int64_t> made =
        model.generate(prompt, {.max_tokens = 60, .temperature = 0.8, .seed = seed});
    prompt.insert(prompt.end(), made.begin(), made.end());
    char perplexity[64];
    std::snprintf(perplexity, sizeof perplexity, "perplexity %.3f; it writes: ", std::exp(loss));
    return str(perplexity, one_line(decode_text(*tokenizer, prompt)));
  };
  task.save_extra = [&](const std::filesystem::path& directory) {
    tokenizer->save(directory / "tokenizer");
  };

  LmSettings kept = s;
  train::TrainerConfig config;
  config.epochs = s.epochs;
  config.max_steps = s.steps;
  config.minutes = s.minutes;
  config.accumulate = s.accumulate;
  config.clip_norm = s.clip;
  config.eval_every = s.eval_every;
  config.patience = s.patience;
  config.keep_last = s.keep_last;
  config.out_dir = s.out;
  config.resume = s.resume;
  config.seed = seed;
  config.config = models::add_section(models::to_json(model.config()), "training",
                                      config_fields(stored(settings_of(kept))));
  config.metric_name = "valid_loss";
  config.quiet = s.quiet;
  train::TrainResult result =
      train::Trainer(model, optimizer, make_schedule(s, windows), task, config).run();
  if (result.reason == train::StopReason::interrupted) {
    std::printf("stopped at step %lld; to go on: lm train --out %s --resume\n",
                static_cast<long long>(result.state.step), s.out.c_str());
    return 130;  // as a shell reports Ctrl-C
  }
  if (result.state.best)
    std::printf(
        "best validation loss %.4f (perplexity %.3f) at step %lld\nto see what it writes: lm "
        "generate --model %s\n",
        *result.state.best, std::exp(*result.state.best),
        static_cast<long long>(result.state.best_step), s.out.c_str());
  return 0;
}

}  // namespace heed::examples
