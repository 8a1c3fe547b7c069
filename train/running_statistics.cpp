#include <heed/train/running_statistics.h>

namespace heed::train {

RunningStatistics::RunningStatistics(const nn::Module& model) {
  for (const auto& [name, value] : model.running_buffers()) {
    values_.push_back(value);
    kept_.push_back(value.clone());
  }
}

void RunningStatistics::keep() {
  for (size_t i = 0; i < values_.size(); ++i) kept_[i].copy_(values_[i]);
}

void RunningStatistics::undo() const {
  for (size_t i = 0; i < values_.size(); ++i) values_[i].copy_(kept_[i]);
}

void RunningStatistics::undo_if_failed(const Optimizer& optimizer) const {
  optimizer.restore_if_failed(values_, kept_);
}

}  // namespace heed::train
