// `lm train`: a language model from a text.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <heed/core/parallel.h>
#include <heed/data/lines.h>
#include <heed/data/toy_translation.h>
#include <heed/data/windows.h>
#include <heed/models/sample.h>
#include <heed/train/batch_ahead.h>
#include <heed/train/evaluation_mode.h>
#include <heed/train/loss_chart.h>

#include "../common/program.h"
#include "../common/saved_model.h"
#include "settings.h"

namespace heed::examples {

namespace {

std::string load_text(const LmSettings& s) {
  std::string text;
  if (s.text.empty()) {
    for (const std::string& line :
         data::make_toy_pairs(20000, static_cast<uint64_t>(s.training.seed)).source)
      text += line + "\n";
    return text;
  }
  text = data::read_text(s.text);
  if (text.find_first_not_of(" \t\n") == std::string::npos)
    throw IoError(str(s.text, ": no text in it"));
  return text;
}

std::unique_ptr<data::Tokenizer> learn_tokenizer(const LmSettings& s, const std::string& text) {
  if (s.tokenizer.kind == "byte") return std::make_unique<data::ByteTokenizer>();
  std::vector<std::string> lines;
  for (size_t begin = 0; begin < text.size();) {
    size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return make_tokenizer(s.tokenizer, lines);
}

double mean_loss(const models::LanguageModel& model, const data::TokenWindows& windows) {
  double sum = 0, tokens = 0;
  for (int64_t i = 0; i < windows.count(0); ++i) {
    data::TokenBatch batch = windows.get(0, i);
    auto count = static_cast<double>(batch.inputs.numel());
    sum += model.loss(on_device(batch.inputs), on_device(batch.targets)).item() * count;
    tokens += count;
  }
  return sum / tokens;
}
}  // namespace

int train_command(const LmSettings& s) {
  const TrainingSettings& t = s.training;
  int64_t context = s.model.context;
  use_machine(t);
  // Whatever can be wrong with the model is found before the data is read.
  models::LanguageModel probe(model_config(s, 4));
  std::string text = load_text(s);
  auto tokenizer =
      t.resume ? load_tokenizer(train::find_checkpoint(t.out)) : learn_tokenizer(s, text);
  std::vector<int64_t> ids = encode_text(*tokenizer, text), valid_ids;
  if (!s.valid_text.empty()) {
    valid_ids = encode_text(*tokenizer, data::read_text(s.valid_text));
  } else {
    auto held = std::max(static_cast<int64_t>(ids.size()) / 20, context + 1);
    if (static_cast<int64_t>(ids.size()) < 2 * held)
      throw ValueError(str(s.text, ": at least ", 2 * held, " tokens expected for --context ",
                           context, ", got ", ids.size()));
    valid_ids.assign(ids.end() - held, ids.end());
    ids.resize(ids.size() - static_cast<size_t>(held));
  }
  auto seed = static_cast<uint64_t>(t.seed);
  data::WindowOptions options{
      .batch = s.batch, .length = context, .seed = seed, .vocab = tokenizer->size()};
  data::TokenWindows windows(ids, options);
  options.shuffle = false;
  data::TokenWindows valid(valid_ids, options);

  manual_seed(seed);
  models::LanguageModel model(model_config(s, tokenizer->size()));
  model.to(dtype_from_name(s.precision));
  std::printf("lm: %s in GPT-2's layout, %lld parameters in %s, %s, %s, attention: %s\n",
              s.preset.c_str(), static_cast<long long>(model.parameter_count()),
              s.precision.c_str(), counted(num_threads(), "thread").c_str(),
              config_value("instruction set").c_str(),
              describe(model.stack().layer(0).self_attn).c_str());
  std::printf(
      "%s: %zu tokens to learn from, %zu for validation; %lld tokens in the vocabulary (%s), %s "
      "an epoch\n",
      s.text.empty() ? "generated text" : s.text.c_str(), ids.size(), valid_ids.size(),
      static_cast<long long>(tokenizer->size()), s.tokenizer.kind.c_str(),
      counted(windows.count(0), "batch", "batches").c_str());
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
    return {model.loss(on_device(batch.inputs), on_device(batch.targets)), batch.inputs.numel()};
  };
  task.weights = [&](int64_t epoch, int64_t index) {
    return std::vector<double>{static_cast<double>(windows.tokens(epoch, index))};
  };
  task.evaluate = [&] { return mean_loss(model, valid); };
  task.on_evaluate = [&](const train::TrainState&, double loss) {
    train::EvaluationMode scope(model);
    std::vector<int64_t> prompt(valid_ids.begin(),
                                valid_ids.begin() + std::min<int64_t>(16, context / 2));
    std::vector<int64_t> made =
        models::generate(model, prompt, {.max_tokens = 60, .temperature = 0.8, .seed = seed});
    prompt.insert(prompt.end(), made.begin(), made.end());
    char perplexity[64];
    std::snprintf(perplexity, sizeof perplexity, "perplexity %.3f; it writes: ", std::exp(loss));
    return str(perplexity, one_line(decode_text(*tokenizer, prompt)));
  };
  task.save_extra = [&](const std::filesystem::path& directory) {
    tokenizer->save(directory / kTokenizer);
  };

  LmSettings kept = s;
  train::TrainerConfig config =
      trainer_config(t, run_config(models::to_json(model.config()), settings_of(kept)));
  config.eval_every = s.eval_every;
  train::Schedule schedule =
      make_schedule(t, t.lr / 10, [&](int64_t epoch) { return windows.count(epoch); });
  train::TrainResult result = train::Trainer(model, optimizer, schedule, task, config).run();
  if (result.reason == train::StopReason::interrupted) return report_interrupted("lm", t, result);
  if (train::save_loss_chart(t.out + "/metrics.jsonl", t.out + "/losses.svg", config.metric_name))
    std::printf("losses: %s/losses.svg\n", t.out.c_str());
  if (result.state.best)
    std::printf(
        "best validation loss %.4f (perplexity %.3f) at step %lld\nto see what it writes: lm "
        "generate --model %s\n",
        *result.state.best, std::exp(*result.state.best),
        static_cast<long long>(result.state.best_step), t.out.c_str());
  return 0;
}

}  // namespace heed::examples
