// `translate train`: from sentence pairs to a translator.
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <heed/autograd/ops/elementwise.h>
#include <heed/core/parallel.h>
#include <heed/data/bleu.h>
#include <heed/train/batch_ahead.h>
#include <heed/train/evaluation_mode.h>
#include <heed/train/loss_chart.h>
#include <heed/train/metrics.h>

#include "../common/program.h"
#include "commands.h"
#include "corpus.h"
#include "report.h"
#include "saved_model.h"

namespace heed::examples {

namespace {
namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class TranslationRun {
 public:
  explicit TranslationRun(const TrainSettings& settings) : s_(settings) {}
  int run();

 private:
  void prepare();
  void print_first_lines() const;
  train::TrainTask make_task();
  double validation_loss() const;
  std::string epoch_report(const train::TrainState& state, double valid_loss);
  void finish(const train::TrainState& state);

  TrainSettings s_;
  Corpora corpora_;
  int64_t left_out_ = 0;  // pairs of which no token remains
  std::unique_ptr<data::Tokenizer> tokenizer_;
  std::unique_ptr<data::PairBatches> batches_, valid_batches_;
  std::unique_ptr<train::BatchAhead<data::PairBatch>> ahead_;
  std::unique_ptr<models::Transformer> model_;
  std::string config_;

  // Of the update and of the epoch that are running, for the epoch's report.
  int64_t update_tokens_ = 0, epoch_tokens_ = 0;
  double epoch_seconds_ = 0;
  Clock::time_point step_began_;
};

void TranslationRun::prepare() {
  use_machine(s_.training);
  manual_seed(static_cast<uint64_t>(s_.training.seed));
  // Whatever can be wrong with the model is found before the data is read.
  models::Transformer probe(model_config(s_, 4));
  corpora_ = load_corpora(s_);
  if (s_.training.resume) {
    tokenizer_ = load_tokenizer(train::find_checkpoint(s_.training.out));
  } else {
    std::vector<std::string> lines = corpora_.train.source;
    lines.insert(lines.end(), corpora_.train.target.begin(), corpora_.train.target.end());
    tokenizer_ = make_tokenizer(s_.tokenizer, lines);
  }

  manual_seed(static_cast<uint64_t>(s_.training.seed));
  model_ = std::make_unique<models::Transformer>(model_config(s_, tokenizer_->size()));
  model_->to(dtype_from_name(s_.precision));
  config_ = run_config(models::to_json(model_->config()), settings_of(s_));

  data::BatchOptions options{.max_tokens = s_.max_tokens,
                             .max_length = s_.max_length,
                             .seed = static_cast<uint64_t>(s_.training.seed),
                             .source_vocab = tokenizer_->size(),
                             .target_vocab = tokenizer_->size()};
  EncodedCorpus train = encode(*tokenizer_, corpora_.train, {s_.src, s_.tgt, s_.skip_empty});
  bool own_valid = !s_.valid_src.empty();
  EncodedCorpus valid =
      encode(*tokenizer_, corpora_.valid,
             {own_valid ? s_.valid_src : s_.src, own_valid ? s_.valid_tgt : s_.tgt, s_.skip_empty});
  left_out_ = train.left_out + valid.left_out;
  batches_ = std::make_unique<data::PairBatches>(std::move(train.pairs), options);
  options.shuffle = false;
  valid_batches_ = std::make_unique<data::PairBatches>(std::move(valid.pairs), options);
  ahead_ = std::make_unique<train::BatchAhead<data::PairBatch>>(
      [this](int64_t epoch) { return batches_->count(epoch); },
      [this](int64_t epoch, int64_t index) { return batches_->get(epoch, index); });
}

void TranslationRun::print_first_lines() const {
  const auto& encoder = model_->encoder().layer(0).self_attn;
  const auto& decoder = model_->decoder().layer(0);
  std::printf(
      "translate: %s Transformer, %lld parameters in %s, %s, %s, attention: encoder %s, "
      "decoder "
      "%s, cross %s\n",
      s_.preset.c_str(), static_cast<long long>(model_->parameter_count()), s_.precision.c_str(),
      counted(num_threads(), "thread").c_str(), config_value("instruction set").c_str(),
      describe(encoder).c_str(), describe(decoder.self_attn).c_str(),
      describe(decoder.multihead_attn).c_str());
  std::string dropped;
  if (batches_->dropped()) dropped = str(", ", batches_->dropped(), " pairs too long");
  if (left_out_) dropped += ", " + counted(left_out_, "pair") + " without a token left out";
  std::printf("%s; %lld tokens in the vocabulary (%s), %s an epoch%s\n", corpora_.note.c_str(),
              static_cast<long long>(tokenizer_->size()), s_.tokenizer.kind.c_str(),
              counted(batches_->count(0), "batch", "batches").c_str(), dropped.c_str());
  std::fflush(stdout);
}

train::TrainTask TranslationRun::make_task() {
  train::TrainTask task;
  task.batches = [this](int64_t epoch) { return batches_->count(epoch); };
  task.step = [this](int64_t epoch, int64_t index) -> train::StepResult {
    if (update_tokens_ == 0) step_began_ = Clock::now();  // the first batch of the update
    const data::PairBatch& batch = ahead_->get(epoch, index);
    update_tokens_ += batch.target_tokens;
    return {model_->loss(to_tensors(batch), s_.label_smoothing), batch.target_tokens};
  };
  task.weights = [this](int64_t epoch, int64_t index) {
    return std::vector<double>{static_cast<double>(batches_->target_tokens(epoch, index))};
  };
  task.on_step = [this](const train::TrainState&) {
    epoch_tokens_ += update_tokens_;
    update_tokens_ = 0;
    epoch_seconds_ += seconds_since(step_began_);
  };
  task.evaluate = [this] { return validation_loss(); };
  task.on_evaluate = [this](const train::TrainState& state, double loss) {
    return epoch_report(state, loss);
  };
  task.save_extra = [this](const fs::path& directory) { tokenizer_->save(directory / kTokenizer); };
  return task;
}

// Without label smoothing, so that its exponential is the perplexity.
double TranslationRun::validation_loss() const {
  double sum = 0, tokens = 0;
  for (int64_t i = 0; i < valid_batches_->count(0); ++i) {
    data::PairBatch batch = valid_batches_->get(0, i);
    auto count = static_cast<double>(batch.target_tokens);
    sum += model_->loss(to_tensors(batch)).item() * count;
    tokens += count;
  }
  return sum / tokens;
}

std::string TranslationRun::epoch_report(const train::TrainState& state, double valid_loss) {
  double train_loss = train::mean_loss(state.train_loss);
  double rate = epoch_seconds_ > 0 ? static_cast<double>(epoch_tokens_) / epoch_seconds_ : 0;
  train::MetricLog::Fields fields{{"kind", "epoch"},
                                  {"step", state.step},
                                  {"epoch", state.epoch},
                                  {"train_loss", train_loss},
                                  {"valid_loss", valid_loss},
                                  {"tokens_per_second", rate},
                                  {"epoch_seconds", epoch_seconds_}};
  char text[256];
  int n = std::snprintf(
      text, sizeof text, "epoch %lld: train loss %.3f, valid loss %.3f (perplexity %.2f)",
      static_cast<long long>(state.epoch), train_loss, valid_loss, std::exp(valid_loss));
  std::string line(text, static_cast<size_t>(n));
  if (s_.bleu_sentences > 0) {
    train::EvaluationMode scope(*model_);
    auto count = static_cast<size_t>(std::min(s_.bleu_sentences, corpora_.valid.size()));
    std::span<const std::string> references(corpora_.valid.target.data(), count);
    std::vector<std::string> sources(corpora_.valid.source.begin(),
                                     corpora_.valid.source.begin() + static_cast<int64_t>(count));
    auto translations = translate_lines(*model_, *tokenizer_, sources, beam_options(1, 0));
    double bleu = data::corpus_bleu(translations, references).score;
    std::snprintf(text, sizeof text, ", BLEU %.2f (greedy, %zu sentences)", bleu, count);
    line += text;
    fields.push_back({"greedy_bleu", bleu});
  }
  std::snprintf(text, sizeof text, ", %.0f tokens/s, %.1f s", rate, epoch_seconds_);
  line += text;
  train::MetricLog(fs::path(s_.training.out) / "metrics.jsonl").write(fields);
  epoch_seconds_ = 0;
  epoch_tokens_ = 0;
  return line;
}

// Averages the last checkpoints, saves that as one of its own, and shows what it can do.
void TranslationRun::finish(const train::TrainState& state) {
  fs::path out = s_.training.out;
  if (s_.average > 1) {
    auto last = train::last_checkpoints(out, s_.average);
    train::load_average(last, *model_);
    train::CheckpointStore store(out / kAverage, 1);
    train::CheckpointContent content{
        *model_, nullptr, state, config_,
        [this](const fs::path& directory) { tokenizer_->save(directory / kTokenizer); }};
    store.save(content);
    std::printf("averaged the last %zu checkpoints into %s\n", last.size(),
                (out / kAverage).c_str());
  }
  train::EvaluationMode scope(*model_);
  std::vector<std::string> translations;
  Scores scores = evaluate(*model_, *tokenizer_, corpora_.test,
                           beam_options(s_.beam, s_.length_penalty), translations);
  print_samples(corpora_.test, translations, 10);
  auto sentences = static_cast<double>(scores.sentences);
  double exact = 100 * static_cast<double>(scores.exact) / sentences;
  std::printf("%s\nexact = %.2f %% (%lld of %lld)\n",
              bleu_line(scores.bleu, s_.beam, scores.sentences).c_str(), exact,
              static_cast<long long>(scores.exact), static_cast<long long>(scores.sentences));
  train::MetricLog(out / "metrics.jsonl")
      .write({{"kind", "test"},
              {"step", state.step},
              {"bleu", scores.bleu},
              {"exact", exact},
              {"beam", s_.beam},
              {"sentences", scores.sentences},
              {"seconds", state.seconds}});
  if (save_attention(*model_, *tokenizer_, corpora_.test.source, translations,
                     out / "attention.html"))
    std::printf("attention of each head, to explore: %s\n", (out / "attention.html").c_str());
  if (train::save_loss_chart(out / "metrics.jsonl", out / "losses.svg", "valid_loss"))
    std::printf("losses: %s\n", (out / "losses.svg").c_str());
}

int TranslationRun::run() {
  prepare();
  print_first_lines();
  train::Adam optimizer(model_->named_parameters(), {.beta2 = 0.98, .eps = 1e-9});
  const TrainingSettings& t = s_.training;
  train::Schedule schedule =
      make_schedule(t, 0, [this](int64_t epoch) { return batches_->count(epoch); });
  train::TrainResult result =
      train::Trainer(*model_, optimizer, schedule, make_task(), trainer_config(t, config_)).run();
  if (result.reason == train::StopReason::interrupted)
    return report_interrupted("translate", t, result);
  finish(result.state);
  return 0;
}
}  // namespace

int train_command(const TrainSettings& settings) { return TranslationRun(settings).run(); }

}  // namespace heed::examples
