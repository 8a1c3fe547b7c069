// The training loop: accumulate, clip, step, log, evaluate, save, stop early, go on after a stop.
// Every part of it (Optimizer, Schedule, CheckpointStore, ..) can be used without it.
//
//   TrainTask task;
//   task.batches = [&](int64_t epoch) { return batches.count(epoch); };
//   task.step = [&](int64_t epoch, int64_t index) -> StepResult {
//     auto batch = batches.get(epoch, index);
//     return {model.loss(batch), batch.target_tokens};
//   };
//   task.evaluate = [&] { return validation_loss(model); };
//   TrainerConfig config{.epochs = 10, .out_dir = "run"};
//   TrainResult result = Trainer(model, optimizer, schedule, task, config).run();
//
// A run that was stopped and goes on with `resume` has the same bits as one that was not, given the
// same thread count and machine: positions and random numbers are part of a checkpoint.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heed/nn/module.h>
#include <heed/train/checkpoint.h>
#include <heed/train/optimizer.h>
#include <heed/train/schedule.h>

namespace heed::train {

// A part of the loss, under a name of its own in the log.
struct LossTerm {
  std::string name;
  Tensor loss;  // one element: the mean over those of the batch's tokens (or rows) that it is about
};

struct StepResult {
  StepResult() = default;
  StepResult(Tensor loss, int64_t count = 1) : terms{{"loss", std::move(loss)}}, tokens(count) {}
  StepResult(std::vector<LossTerm> parts, int64_t count) : terms(std::move(parts)), tokens(count) {}

  std::vector<LossTerm> terms;  // the loss is their sum; of one dtype, the same ones each time
  int64_t tokens = 1;           // for tokens/s
};

struct TrainTask {
  // Batches in an epoch; the same for the same epoch each time.
  std::function<int64_t(int64_t epoch)> batches;
  // Loss of one batch. A pure function of position, parameters and the default generator: batches
  // come in order, but the same one may be asked for twice (see non-finite losses below).
  std::function<StepResult(int64_t epoch, int64_t index)> step;
  // How much each term of that batch counts in an update of several batches and in the log's
  // averages: as many tokens as it is the mean of, so that a token counts the same in every batch.
  // Asked before the update's first step. Empty: the batches of an update count the same, and in
  // averages as their tokens.
  std::function<std::vector<double>(int64_t epoch, int64_t index)> weights;
  // A metric of the model, called in eval mode without gradients; its use of the default generator
  // leaves no trace. Empty: no evaluation, no best checkpoint.
  std::function<double()> evaluate;
  bool higher_is_better = false;
  // After each update.
  std::function<void(const TrainState& state)> on_step;
  // After each evaluation; its text, if any, is printed below the evaluation's line. The state has
  // the training losses since the evaluation before.
  std::function<std::string(const TrainState& state, double metric)> on_evaluate;
  // Writes more files into a checkpoint: the tokenizer.
  std::function<void(const std::string& directory)> save_extra;
};

struct TrainerConfig {
  // Limits, 0 = none; whichever comes first. At least one is needed.
  int64_t epochs = 0;
  double minutes = 0;        // of training, earlier runs included
  int64_t max_steps = 0;     // updates
  int64_t accumulate = 1;    // batches an update: the weighted mean of their losses
  double clip_norm = 0;      // 0: no clipping
  int64_t log_every = 50;    // updates; 0: never
  int64_t eval_every = 0;    // updates; 0: at each epoch's end
  int64_t save_every = 0;    // updates; 0: at each evaluation (or epoch's end)
  int64_t patience = 0;      // stop after so many evaluations without a better one; 0: never
  int64_t keep_last = 2;     // checkpoints, besides the best
  std::string out_dir = {};  // empty: nothing is written
  // Go on from out_dir's last checkpoint, if it has one. Without it a directory that has
  // checkpoints is refused.
  bool resume = false;
  // Of the default generator at the start; empty: it goes on as it is.
  std::optional<uint64_t> seed = {};
  std::string config = {};             // goes into checkpoints as config.json
  std::string metric_name = "metric";  // in the log
  // What StepResult::tokens counts: in the log ("tokens", "tokens_per_second"), and short for the
  // progress line.
  std::string unit_name = "tokens", unit = "tok";
  bool quiet = false;  // no progress
};

enum class StopReason { epochs, max_steps, minutes, patience, interrupted };
std::string to_string(StopReason reason);

struct TrainResult {
  TrainState state;
  StopReason reason = StopReason::epochs;
  double loss = 0;                    // of the last update
  std::optional<double> last_metric;  // of the last evaluation in this run
};

class Trainer {
 public:
  // All of them must outlive the trainer. ValueError: settings without meaning.
  Trainer(nn::Module& model, Optimizer& optimizer, const Schedule& schedule, TrainTask task,
          TrainerConfig config);
  ~Trainer();

  // Ctrl-C: the running update is finished, a checkpoint saved, StopReason::interrupted returned.
  // A loss or gradient that is not finite: NumericError with step, position and, by running the
  // batch again in anomaly mode, the op; parameters and running statistics (batch norm's: those of
  // Module::register_running) are those of the update before, and no checkpoint is touched. On the
  // CPU that is noticed at once. On another device nothing is read back in an update: the device
  // itself leaves out the failed update and all after it, and the host notices when it logs,
  // evaluates or saves. Until then on_step is called for updates that changed nothing, and buffers
  // that it redraws (Performer's projections) have changed. Running statistics change in forward:
  // the trainer keeps their values at the start of an update, and the device puts them back at its
  // end if this or an earlier update failed. Any other exception from task.step puts them back too.
  // Of `accumulate` batches each moves them once.
  TrainResult run();

 private:
  struct Loop;
  std::unique_ptr<Loop> loop_;
};

}  // namespace heed::train
