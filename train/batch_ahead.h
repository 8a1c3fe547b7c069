// Batches by position, made ahead in a thread. Asked for in order, they are those that the thread
// made; the same position again gives the same batch; at any other position the thread starts anew.
//
//   BatchAhead<data::PairBatch> ahead([&](int64_t e) { return batches.count(e); },
//                                     [&](int64_t e, int64_t i) { return batches.get(e, i); });
//   const data::PairBatch& batch = ahead.get(epoch, index);  // valid until the next call
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

#include <heed/core/error.h>
#include <heed/data/prefetch.h>

namespace heed::train {

template <class Batch>
class BatchAhead {
 public:
  using Count = std::function<int64_t(int64_t epoch)>;
  using Make = std::function<Batch(int64_t epoch, int64_t index)>;  // called in the thread

  BatchAhead(Count count, Make make, size_t capacity = 4)
      : count_(std::move(count)), make_(std::move(make)), capacity_(capacity) {}

  const Batch& get(int64_t epoch, int64_t index) {
    if (index < 0 || index >= count_(epoch))
      throw ValueError(str("BatchAhead: no batch ", index, " in epoch ", epoch));
    if (current_ && epoch == epoch_ && index == index_) return *current_;
    bool next = queue_ && epoch == next_epoch_ && index == next_index_;
    if (!next) start(epoch, index);
    current_ = queue_->next();
    epoch_ = epoch;
    index_ = index;
    next_epoch_ = epoch;
    next_index_ = index + 1;
    if (next_index_ >= count_(epoch)) {  // the thread goes on into the next epoch
      ++next_epoch_;
      next_index_ = 0;
    }
    return *current_;
  }

 private:
  void start(int64_t epoch, int64_t index) {
    queue_.reset();  // stops the old thread before another one calls `make_`
    auto produce = [this, epoch, index]() mutable -> std::optional<Batch> {
      if (index >= count_(epoch)) {
        ++epoch;
        index = 0;
        if (count_(epoch) <= 0) return std::nullopt;
      }
      return make_(epoch, index++);
    };
    queue_ = std::make_unique<data::Prefetcher<Batch>>(std::move(produce), capacity_);
  }

  Count count_;
  Make make_;
  size_t capacity_;
  std::optional<Batch> current_;
  int64_t epoch_ = -1, index_ = -1, next_epoch_ = -1, next_index_ = -1;
  std::unique_ptr<data::Prefetcher<Batch>> queue_;  // last: its thread uses the members above
};

}  // namespace heed::train
