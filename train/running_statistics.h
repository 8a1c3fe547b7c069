// The running statistics of a model (Module::register_running, such as batch norm's averages) in a
// step that may fail: they change in forward, before anybody knows. Trainer does this by itself; in
// a loop of your own:
//
//   train::RunningStatistics running(model);
//   running.keep();                        // before the first forward of an update
//   ... loss.backward(); optimizer.watch(loss); optimizer.clip_grad_norm(1); optimizer.step(rate);
//   running.undo_if_failed(optimizer);     // after each update; nothing is read back
#pragma once

#include <vector>

#include <heed/train/optimizer.h>

namespace heed::train {

class RunningStatistics {
 public:
  // The model must outlive it, and stay on its device and in its dtype.
  explicit RunningStatistics(const nn::Module& model);
  void keep();        // the values of now
  void undo() const;  // back to the values kept
  // The same on the device itself, if a step of the optimizer has failed (Optimizer::failed_step).
  void undo_if_failed(const Optimizer& optimizer) const;

 private:
  std::vector<Tensor> values_, kept_;
};

}  // namespace heed::train
