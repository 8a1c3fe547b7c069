// `classify train`: from pictures to a classifier.
#include <cmath>
#include <cstdio>
#include <filesystem>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/core/parallel.h>
#include <heed/train/batch_ahead.h>
#include <heed/train/evaluation_mode.h>
#include <heed/train/loss_chart.h>
#include <heed/train/metrics.h>

#include "../common/program.h"
#include "commands.h"
#include "evaluate.h"
#include "page.h"
#include "source.h"

namespace heed::examples {

namespace {
namespace fs = std::filesystem;

class ClassifyRun {
 public:
  explicit ClassifyRun(const ClassifySettings& settings) : s_(settings) {}
  int run();

 private:
  void prepare();
  void print_first_lines() const;
  std::unique_ptr<train::Optimizer> make_optimizer() const;
  train::TrainTask make_task();
  std::string epoch_report(const train::TrainState& state, const Evaluation& evaluation);
  void finish(const train::TrainState& state);

  ClassifySettings s_;
  data::ImageParts parts_;
  data::ImageInfo info_;
  data::Augmentation augmentation_;
  std::unique_ptr<Classifier> model_;
  std::string config_, started_from_;
  std::unique_ptr<data::ImageBatches> batches_, valid_batches_;
  std::unique_ptr<train::BatchAhead<data::ImageBatch>> ahead_;

  std::optional<Evaluation> evaluation_;
};

void ClassifyRun::prepare() {
  const TrainingSettings& t = s_.training;
  use_machine(t);
  auto seed = static_cast<uint64_t>(t.seed);
  if (t.resume) info_ = data::load_image_info(train::find_checkpoint(t.out) + "/" + kImages);
  s_.data.most_bytes = (t.memory_limit << 20) / 2;  // as much is left for the training
  parts_ = open_images(s_.data, seed, t.resume ? &info_ : nullptr);
  if (t.resume) {
    require_same_kind(info_, *parts_.train, s_.data, "the run in " + t.out);
  } else {
    info_.class_names = parts_.train->class_names();
    info_.shape = parts_.train->image_shape();
  }
  manual_seed(seed);
  model_ = std::make_unique<Classifier>(classifier_config(s_, info_));
  model_->module().to(dtype_from_name(s_.precision));
  if (!s_.init_from.empty() && !t.resume) started_from_ = init_from(*model_, s_.init_from);
  if (!t.resume) info_ = data::image_info(*parts_.train);  // reads every picture

  augmentation_ = data::parse_augmentation(s_.augment);
  batches_ = std::make_unique<data::ImageBatches>(
      parts_.train, data::ImageBatchOptions{.batch = s_.batch,
                                            .seed = seed,
                                            .statistics = info_.statistics,
                                            .augmentation = augmentation_,
                                            .drop_last = true});
  auto count = [this](int64_t epoch) { return batches_->count(epoch); };
  if (int64_t steps = total_steps(s_.training, count); s_.default_warmup && steps > 0)
    s_.training.warmup = std::min(s_.training.warmup, steps / 10);
  config_ = run_config(model_->to_json(), settings_of(s_));
  valid_batches_ =
      std::make_unique<data::ImageBatches>(parts_.validation, evaluation_batches(info_, s_.batch));
  ahead_ = std::make_unique<train::BatchAhead<data::ImageBatch>>(
      count, [this](int64_t epoch, int64_t index) { return batches_->get(epoch, index); });
}

void ClassifyRun::print_first_lines() const {
  std::string sizes = s_.preset;
  if (!s_.blocks.empty()) sizes += " with blocks " + listed(s_.blocks);
  if (s_.width > 0) sizes += str(" of width ", s_.width);
  std::printf("classify: %s %s, %lld parameters in %s, %s, %s, attention: %s\n", s_.arch.c_str(),
              sizes.c_str(), static_cast<long long>(model_->module().parameter_count()),
              s_.precision.c_str(), counted(num_threads(), "thread").c_str(),
              config_value("instruction set").c_str(), model_->attention().c_str());
  if (!started_from_.empty()) std::printf("%s\n", started_from_.c_str());
  for (const std::string& note : parts_.notes) std::printf("note: %s\n", note.c_str());
  std::printf("%s: %s; augmentation: %s; %s an epoch\n",
              generated(s_.data) ? s_.data.data_format.c_str() : s_.data.data.c_str(),
              describe(parts_).c_str(), data::to_string(augmentation_).c_str(),
              counted(batches_->count(0), "batch", "batches").c_str());
  std::fflush(stdout);
}

std::unique_ptr<train::Optimizer> ClassifyRun::make_optimizer() const {
  nn::Module& module = model_->module();
  if (s_.optimizer == "adamw")
    return std::make_unique<train::AdamW>(
        train::decay_matrices(module, {.weight_decay = s_.weight_decay}));
  SgdSettings settings{.momentum = 0.9, .weight_decay = s_.weight_decay, .nesterov = true};
  return std::make_unique<train::Sgd>(module.named_parameters(), settings);
}

train::TrainTask ClassifyRun::make_task() {
  train::TrainTask task;
  task.batches = [this](int64_t epoch) { return batches_->count(epoch); };
  task.step = [this](int64_t epoch, int64_t index) -> train::StepResult {
    const data::ImageBatch& batch = ahead_->get(epoch, index);
    auto pictures = static_cast<int64_t>(batch.labels.size());
    Tensor labels = on_device(Array::from(batch.labels, {pictures}));
    return {cross_entropy(model_->forward(model_->input(batch.images)), labels,
                          {.label_smoothing = s_.label_smoothing}),
            pictures};
  };
  task.higher_is_better = true;
  task.evaluate = [this] {
    evaluation_ = evaluate(*model_, *valid_batches_);
    return evaluation_->confusion.accuracy();
  };
  task.on_evaluate = [this](const train::TrainState& state, double) {
    return epoch_report(state, *evaluation_);
  };
  task.save_extra = [this](const std::string& directory) {
    data::save_image_info(info_, directory + "/" + kImages);
  };
  return task;
}

std::string ClassifyRun::epoch_report(const train::TrainState& state,
                                      const Evaluation& evaluation) {
  double train_loss = train::mean_loss(state.train_loss);
  double accuracy = evaluation.confusion.accuracy();
  train::MetricLog(fs::path(s_.training.out) / "metrics.jsonl")
      .write({{"kind", "epoch"},
              {"step", state.step},
              {"epoch", state.epoch},
              {"train_loss", train_loss},
              {"valid_loss", evaluation.loss},
              {"valid_accuracy", accuracy}});
  char text[160];
  std::snprintf(text, sizeof text,
                "epoch %lld: train loss %.4f, valid loss %.4f, valid accuracy %.2f %%",
                static_cast<long long>(state.epoch), train_loss, evaluation.loss, 100 * accuracy);
  return text;
}

// Shows the best checkpoint on a few validation pictures; test pictures are eval's alone.
void ClassifyRun::finish(const train::TrainState& state) {
  fs::path out = s_.training.out;
  if (state.best)
    std::printf("best validation accuracy %.2f %% at step %lld\n", 100 * *state.best,
                static_cast<long long>(state.best_step));
  train::load_checkpoint(train::find_checkpoint(out, /*best=*/true), model_->module());
  train::EvaluationMode scope(model_->module());
  std::vector<viz::PicturePanel> panels;
  for (int64_t i = 0; i < std::min<int64_t>(4, parts_.validation->size()); ++i) {
    Array image = parts_.validation->image(i);
    std::string name = info_.class_names[static_cast<size_t>(parts_.validation->label(i))];
    panels.push_back(panel_of(*model_, info_, image, "a validation picture: " + name, {}));
    for (const Guess& guess : best_guesses(*model_, info_, image, 3))
      panels.back().lines.push_back(to_string(guess));
  }
  print_page(panels, (out / "attention.html").string());
  if (train::save_loss_chart(out / "metrics.jsonl", out / "losses.svg", "valid_loss"))
    std::printf("losses: %s\n", (out / "losses.svg").c_str());
  if (parts_.has_test)
    std::printf("to see how it does on the test pictures: classify eval --model %s\n",
                s_.training.out.c_str());
}

int ClassifyRun::run() {
  prepare();
  print_first_lines();
  std::unique_ptr<train::Optimizer> optimizer = make_optimizer();
  const TrainingSettings& t = s_.training;
  train::Schedule schedule =
      make_schedule(t, 0, [this](int64_t epoch) { return batches_->count(epoch); });
  train::TrainerConfig config = trainer_config(t, config_);
  config.metric_name = "valid_accuracy";
  config.unit_name = "pictures";
  config.unit = "img";
  train::TrainResult result =
      train::Trainer(model_->module(), *optimizer, schedule, make_task(), config).run();
  if (result.reason == train::StopReason::interrupted)
    return report_interrupted("classify", t, result);
  finish(result.state);
  return 0;
}
}  // namespace

int train_command(const ClassifySettings& settings) { return ClassifyRun(settings).run(); }

}  // namespace heed::examples
