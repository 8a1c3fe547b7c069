// The trainer's loop; for trainer.cpp (what it does) and trainer_report.cpp (what it shows).
#pragma once

#include <chrono>
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
  Tensor cotangent;  // 1 / batches of the update; kept, so that steps allocate nothing new
  double cotangent_value = 0;

  // What the device knows and the host has not read yet. On the CPU reading is free, so the host
  // reads after each update; on other devices when it logs, evaluates or saves.
  struct Update {  // where an update's batches began
    int64_t step, epoch, batch, batches;
    RandomKey random;
  };
  std::vector<Update> unseen;             // updates since the host looked
  Tensor loss_sum, last_loss, last_norm;  // loss_sum: f64 [], of loss times tokens over `unseen`
  double gradient_norm = 0;               // as of the last look

  double seconds() const { return earlier_seconds + since(started); }

  void start();
  TrainResult run();
  std::optional<StopReason> stop_reason() const;
  void update(int64_t epoch_batches);
  std::pair<Tensor, int64_t> gradients(int64_t batches);
  const Tensor& cotangent_for(const Tensor& loss, int64_t batches);
  void look();  // NumericError if one of the updates failed
  [[noreturn]] void diagnose(const Update& update);
  void log_window();
  bool evaluate();
  void save(bool best);
  double fraction(int64_t epoch_batches) const;
  void show(int64_t epoch_batches);
};

}  // namespace heed::train
