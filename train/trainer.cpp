#include <heed/train/trainer_loop.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/core/error.h>
#include <heed/data/shuffle.h>
#include <heed/nn/attention/attention.h>
#include <heed/train/interrupt.h>

namespace heed::train {

namespace {
constexpr uint32_t kRedraw = 0x72656472;  // the purpose of the numbers that on_step gets

void check(const TrainTask& task, const TrainerConfig& c) {
  auto require = [](bool good, const char* what) {
    if (!good) throw ValueError(str("trainer: ", what));
  };
  require(task.batches && task.step, "task.batches and task.step are needed");
  require(c.epochs >= 0 && c.max_steps >= 0 && c.minutes >= 0, "limits >= 0 expected");
  bool limited = c.epochs > 0 || c.max_steps > 0 || c.minutes > 0;
  require(limited, "a limit is needed: epochs, max_steps or minutes");
  require(c.accumulate >= 1, "accumulate >= 1 expected");
  require(c.clip_norm >= 0, "clip_norm >= 0 expected");
  require(c.log_every >= 0 && c.eval_every >= 0 && c.save_every >= 0,
          "log_every, eval_every and save_every >= 0 expected");
  require(c.patience >= 0, "patience >= 0 expected");
  require(c.patience == 0 || task.evaluate, "patience needs task.evaluate");
  require(!c.resume || !c.out_dir.empty(), "resume needs out_dir");
}
}  // namespace

void Trainer::Loop::start() {
  check(task, config);
  if (config.seed) manual_seed(*config.seed);
  if (!config.out_dir.empty()) {
    store.emplace(config.out_dir, config.keep_last);
    auto last = store->last();
    if (last && !config.resume)
      throw ValueError(str("trainer: ", config.out_dir, " already holds checkpoints (",
                           std::filesystem::path(*last).filename().string(),
                           "): resume, or take another directory"));
    if (last) {
      state = load_checkpoint(*last, model, &optimizer);
      if (int64_t count = task.batches(state.epoch); count != state.epoch_batches)
        throw ValueError(str(*last, ": epoch ", state.epoch, " had ", state.epoch_batches,
                             " batches, now it has ", count, ": other data or another batch size"));
      restore_generator(state);
      saved_step = state.step;
      progress.line(str("going on from ", *last));
    }
    log = MetricLog(config.out_dir + "/metrics.jsonl", state.step, state.evaluation_due);
  }
  if (std::optional<int64_t> failed = optimizer.failed_step())
    throw ValueError(str("trainer: step ", *failed,
                         " of the optimizer failed before this run; see forget_failure()"));
  out_of_range_seen(optimizer.device());  // what happened before is not this run's
  if (!model.is_training()) model.train();
  running = RunningStatistics(model);
  optimizer.zero_grad();
  earlier_seconds = state.seconds;
  started = Clock::now();
}

std::optional<StopReason> Trainer::Loop::stop_reason() const {
  if (InterruptGuard::requested()) return StopReason::interrupted;
  if (config.patience > 0 && state.stale_evaluations >= config.patience)
    return StopReason::patience;
  if (config.max_steps > 0 && state.step >= config.max_steps) return StopReason::max_steps;
  if (config.epochs > 0 && state.epoch >= config.epochs) return StopReason::epochs;
  if (config.minutes > 0 && seconds() >= 60 * config.minutes) return StopReason::minutes;
  return std::nullopt;
}

TrainResult Trainer::Loop::run() {
  InterruptGuard guard;
  start();
  reset_peak_memory(optimizer.device());
  bool updated = false, save_due = state.evaluation_due;
  std::optional<StopReason> stop;
  while (true) {
    // What an update ends with comes first, in this run or in the one that goes on. It is saved
    // before it is evaluated, which may fail.
    if (save_due && unsaved) save(false);
    save_due = false;
    if (state.evaluation_due && !InterruptGuard::requested()) evaluate();
    if ((stop = stop_reason())) break;

    int64_t count = task.batches(state.epoch);
    if (count <= 0) throw ValueError(str("trainer: epoch ", state.epoch, " has no batches"));
    state.epoch_batches = count;
    update(count);
    updated = true;
    bool epoch_end = state.batch >= count;
    show(count);
    if (epoch_end) {
      ++state.epoch;
      state.batch = 0;
      state.epoch_batches = task.batches(state.epoch);
    }
    if (config.log_every > 0 && state.step % config.log_every == 0) log_window();
    Generator redraw = data::epoch_generator(default_generator().seed(), state.step, kRedraw);
    nn::attention_on_step(model, state.step, {redraw.seed(), 0});
    if (task.on_step) task.on_step(state);
    bool evaluation_point = config.eval_every > 0 ? state.step % config.eval_every == 0 : epoch_end;
    state.evaluation_due = evaluation_point && task.evaluate;
    save_due = config.save_every > 0 ? state.step % config.save_every == 0 : evaluation_point;
  }
  bool evaluate_last = updated && task.evaluate && *stop != StopReason::interrupted;
  if (unsaved) save(false);
  if (evaluate_last && evaluated_step != state.step) evaluate();
  if (unsaved) save(false);
  look();
  progress.finish();
  state.seconds = seconds();
  result.state = state;
  result.reason = *stop;
  return result;
}

// One update: the gradients of `accumulate` batches (fewer at an epoch's end), one step. Nothing in
// it asks the device for a value.
void Trainer::Loop::update(int64_t epoch_batches) {
  Clock::time_point begin = Clock::now();
  int64_t batches = std::min(config.accumulate, epoch_batches - state.batch);
  unseen.push_back({state.step + 1,
                    state.epoch,
                    state.batch,
                    batches,
                    {default_generator().seed(), default_generator().offset()}});
  running.keep();
  Weights weights = weights_of(unseen.back());
  std::vector<StepResult> steps = gradients(unseen.back(), weights);
  optimizer.watch(last_loss);
  // Also without clipping: a gradient that is not finite must not reach the parameters.
  last_norm = optimizer.clip_grad_norm(
      config.clip_norm > 0 ? config.clip_norm : std::numeric_limits<double>::infinity());
  optimizer.step(schedule(state.step + 1));
  running.undo_if_failed(optimizer);
  optimizer.zero_grad();
  for (size_t i = 0; i < steps.size(); ++i)
    add_up(steps[i], task.weights ? weights[i] : std::vector<double>());
  unsaved = true;
  ++state.step;
  state.batch += batches;
  ++state.window_steps;
  if (optimizer.device() == kCpu) look();
  window_seconds += since(begin);
}

void Trainer::Loop::look() {
  if (unseen.empty()) return;
  std::vector<Update> updates;
  updates.swap(unseen);
  if (std::optional<int64_t> failed = optimizer.failed_step()) {
    // Steps are counted by the optimizer as well, which may have been used before.
    int64_t after = optimizer.step_count() - *failed;
    diagnose(updates[updates.size() - 1 - static_cast<size_t>(after)]);
  }
  if (out_of_range_seen(optimizer.device()))
    throw ValueError(str("training: an index or target was out of range on ",
                         to_string(optimizer.device()), " in one of the steps ",
                         updates.front().step, " to ", updates.back().step,
                         "; the CPU names it: run one of them there"));
  result.loss = last_loss.item();
  gradient_norm = last_norm.item();
  for (auto& [name, sum] : sums) {
    if (sum.window.defined()) state.window_loss[name].sum = sum.window.item();
    if (sum.train.defined()) state.train_loss[name].sum = sum.train.item();
  }
}

// Runs the batches of the failed update again, with the same random numbers, to find the op.
void Trainer::Loop::diagnose(const Update& update) {
  bool last = update.step == state.step;
  double loss = last_loss.item(), norm = last_norm.item();
  std::string what = "the loss or the norm of the gradients is not finite";
  if (last)
    what = std::isfinite(loss) ? str("the norm of the gradients is ", norm)
                               : str("the loss is ", loss);
  optimizer.forget_failure();
  optimizer.zero_grad();
  default_generator().set_state(update.random.seed, update.random.offset);
  std::string found = "run again in anomaly mode, all values were finite";
  running.keep();
  try {
    AnomalyMode anomaly;
    gradients(update, weights_of(update));
    std::string names;
    for (const std::string& name : optimizer.bad_gradients())
      names += (names.empty() ? "" : ", ") + name;
    if (!names.empty()) found += "; gradients not finite: " + names;
  } catch (const NumericError& error) {
    found = error.what();
  } catch (...) {
    running.undo();
    throw;
  }
  running.undo();
  optimizer.zero_grad();
  progress.finish();
  std::string place = str("epoch ", update.epoch, ", batch ", update.batch);
  if (update.batches > 1) place += str(" to ", update.batch + update.batches - 1);
  std::string kept = saved_step < 0 ? "" : str("; the last checkpoint is of step ", saved_step);
  throw NumericError(str("training: step ", update.step, " (", place, "): ", what, ". ", found,
                         ". The parameters are those of step ", update.step - 1, kept));
}

void Trainer::Loop::save(bool best) {
  if (!store) return;
  look();
  state.rng_seed = default_generator().seed();
  state.rng_offset = default_generator().offset();
  state.seconds = seconds();
  state.schedule = to_string(schedule);
  store->save({model, &optimizer, state, config.config, task.save_extra}, best);
  saved_step = state.step;
  unsaved = false;
}

Trainer::Trainer(nn::Module& model, Optimizer& optimizer, const Schedule& schedule, TrainTask task,
                 TrainerConfig config)
    : loop_(
          std::make_unique<Loop>(model, optimizer, schedule, std::move(task), std::move(config))) {
  check(loop_->task, loop_->config);
}
Trainer::~Trainer() = default;

TrainResult Trainer::run() { return loop_->run(); }

}  // namespace heed::train
