// The trainer's loop; for trainer.cpp (what it does) and trainer_report.cpp (what it shows).
#pragma once

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include <heed/core/random.h>
#include <heed/train/metrics.h>
#include <heed/train/progress.h>
#include <heed/train/running_statistics.h>
#include <heed/train/trainer.h>

namespace heed::train {

using Clock = std::chrono::steady_clock;
inline double since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

struct Trainer::Loop {
  Loop(nn::Module& m, Optimizer& o, const Schedule& s, TrainTask t, TrainerConfig c)
      : model(m),
        optimizer(o),
        schedule(s),
        task(std::move(t)),
        config(std::move(c)),
        progress({.quiet = config.quiet}),
        running(model) {}

  nn::Module& model;
  Optimizer& optimizer;
  Schedule schedule;
  TrainTask task;
  TrainerConfig config;
  Progress progress;
  RunningStatistics running;  // kept at the start of an update
  MetricLog log;
  std::optional<CheckpointStore> store;
  TrainState state;
  TrainResult result;
  Clock::time_point started;
  double earlier_seconds = 0;    // of the runs before this one
  double earlier_fraction = -1;  // how far they came
  double window_seconds = 0;     // spent in updates since the last log line
  bool unsaved = false;          // does the state differ from the last checkpoint?
  int64_t saved_step = -1, evaluated_step = -1;
  Tensor cotangent;  // a batch's share of the update; kept, so that steps allocate nothing new
  double cotangent_value = 0;

  // What the device knows and the host has not read yet. On the CPU reading is free, so the host
  // reads after each update; on other devices when it logs, evaluates or saves.
  struct Update {  // where an update's batches began
    int64_t step, epoch, batch, batches;
    RandomKey random;
  };
  std::vector<Update> unseen;   // updates since the host looked
  Tensor last_loss, last_norm;  // last_loss: f64 []
  double gradient_norm = 0;     // as of the last look
  // The sums of the state's losses, f64 []. Where one is undefined, it goes on from the state's.
  struct TermSums {
    Tensor window, train;
  };
  std::map<std::string, TermSums> sums;

  double seconds() const { return earlier_seconds + since(started); }

  void start();
  TrainResult run();
  std::optional<StopReason> stop_reason() const;
  void update(int64_t epoch_batches);
  // Of each batch of an update, of each of its terms.
  using Weights = std::vector<std::vector<double>>;
  Weights weights_of(const Update& update) const;
  Tensor backward(const StepResult& step, const std::vector<double>& shares);
  const Tensor& cotangent_for(const Tensor& loss, double value);
  std::vector<StepResult> gradients(const Update& update, const Weights& weights);
  void add_up(const StepResult& step, const std::vector<double>& weights);
  void look();  // NumericError if one of the updates failed
  [[noreturn]] void diagnose(const Update& update);
  void log_window();
  void evaluate();
  void save(bool best);
  double fraction(int64_t epoch_batches) const;
  void show(int64_t epoch_batches);
};

}  // namespace heed::train
