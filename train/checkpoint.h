// Checkpoints: everything needed to resume with the same bits. See docs/checkpoints.md.
//
//   run/step-200/    weights.safetensors, optimizer.safetensors, state.json, config.json, ..
//   run/step-300/
//   run/last, run/best    text files: "step-300"
//
// A checkpoint is written as step-N.tmp/, synced file by file, and renamed once; so it is there as
// a whole or not at all, and the one before it stays until then. Only its state is replaced later,
// as a whole, when that step is evaluated. state.json holds size and CRC-32 of every other file;
// loading checks them, and changes nothing unless all fits.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <heed/nn/module.h>
#include <heed/train/optimizer.h>

namespace heed::train {

// A weighted mean that grows.
struct LossSum {
  double sum = 0;  // of losses times weights
  double weight = 0;
  double mean() const { return sum / weight; }
  bool operator==(const LossSum&) const = default;
};
using LossSums = std::map<std::string, LossSum>;  // by the name of the loss's term
double mean_loss(const LossSums& terms);          // the sum of their means; NaN if there are none

// Where training stands: between two updates.
struct TrainState {
  int64_t step = 0;              // updates done
  int64_t epoch = 0, batch = 0;  // the next batch
  int64_t epoch_batches = 0;     // in that epoch; another number when going on means other data
  uint64_t rng_seed = 0, rng_offset = 0;  // of the default generator
  std::optional<double> best = {};        // metric
  int64_t best_step = 0;
  int64_t stale_evaluations = 0;  // since the best one
  bool evaluation_due = false;    // stopped between an update and its evaluation
  double seconds = 0;             // of training, earlier runs included
  int64_t tokens = 0;
  LossSums window_loss = {};  // since the last log line
  int64_t window_tokens = 0, window_steps = 0;
  LossSums train_loss = {};   // since the last evaluation
  std::string schedule = {};  // to_string of the trainer's; empty: written before it was kept
};

struct CheckpointContent {
  const nn::Module& model;
  const Optimizer* optimizer = nullptr;  // null: not saved
  TrainState state = {};
  std::string config = {};  // becomes config.json; empty: none
  // Writes more files, such as the tokenizer's.
  std::function<void(const std::string& directory)> extra = {};
};

// The checkpoints of one run.
class CheckpointStore {
 public:
  // Makes the directory and removes what an interrupted save left behind. keep_last >= 1.
  explicit CheckpointStore(std::string directory, int64_t keep_last = 2);

  // Writes step-<state.step>, then `last`, then `best` if asked; then deletes all but the newest
  // keep_last and the best. Returns its directory. IoError: what was there before still is.
  std::string save(const CheckpointContent& content, bool best = false);

  // After the evaluation of what was saved last: replaces `best`, if asked, and that checkpoint's
  // state, each as a whole. IoError: no checkpoint of state.step, or it cannot be written.
  void update(const TrainState& state, bool best);

  std::optional<std::string> last() const;
  std::optional<std::string> best() const;
  std::vector<std::string> all() const;  // by step
  const std::string& directory() const { return directory_; }

 private:
  void prune() const;
  std::string directory_;
  int64_t keep_last_;
};

// A checkpoint's directory: `path` itself, or what `last` (or `best`) of a run's directory names.
std::string find_checkpoint(const std::string& path, bool best = false);
bool has_checkpoint(const std::string& path);  // find_checkpoint would find one
// The newest `count` checkpoints of a run, by step.
std::vector<std::string> last_checkpoints(const std::string& run, int64_t count);

// Reads all, checks all, then changes model and optimizer (if given). The caller sets the generator
// from the state. IoError: missing, truncated, changed files; ValueError: of another model.
TrainState load_checkpoint(const std::string& directory, nn::Module& model,
                           Optimizer* optimizer = nullptr);
TrainState read_train_state(const std::string& directory);
std::string read_config(const std::string& directory);  // IoError without config.json
void restore_generator(const TrainState& state);        // the default one

// The mean of the parameters of several checkpoints, taken in double; buffers are the last one's.
// ValueError: none, of different models, or of another than this one; nothing is changed then.
void load_average(const std::vector<std::string>& directories, nn::Module& model);

}  // namespace heed::train
