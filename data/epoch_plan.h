// Keeps what was computed for the epoch that was last asked for. Safe to call from several threads.
// For batches.cpp, image_batches.cpp and windows.cpp.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <utility>

namespace heed::data {

template <class Plan>
class EpochPlan {
 public:
  template <class Make>
  std::shared_ptr<const Plan> get(int64_t epoch, Make&& make) {
    std::lock_guard lock(mutex_);
    if (epoch_ != epoch) {
      plan_ = std::make_shared<const Plan>(make());
      epoch_ = epoch;
    }
    return plan_;
  }

 private:
  std::mutex mutex_;
  int64_t epoch_ = -1;
  std::shared_ptr<const Plan> plan_;
};

}  // namespace heed::data
