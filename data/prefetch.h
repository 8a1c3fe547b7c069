// Makes things ahead in a background thread: a bounded queue between one producer and one consumer.
//
// `make` is called in the thread until it returns nothing. What it throws comes out of next(),
// after everything made before it. The destructor stops the thread and waits for the call of `make`
// that is running.
//
//   Prefetcher<PairBatch> ahead([&, i = int64_t{0}]() mutable -> std::optional<PairBatch> {
//     if (i == batches.count(epoch)) return std::nullopt;
//     return batches.get(epoch, i++);
//   });
//   while (auto batch = ahead.next()) ...
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

#include <heed/core/error.h>

namespace heed::data {

template <class T>
class Prefetcher {
 public:
  explicit Prefetcher(std::function<std::optional<T>()> make, size_t capacity = 4)
      : make_(std::move(make)), capacity_(capacity) {
    if (capacity == 0) throw ValueError("Prefetcher: capacity >= 1 expected, got 0");
    thread_ = std::thread([this] { produce(); });
  }
  ~Prefetcher() {
    {
      std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    thread_.join();
  }
  Prefetcher(const Prefetcher&) = delete;
  Prefetcher& operator=(const Prefetcher&) = delete;

  // The next thing; nothing at the end, and again nothing after that. An exception is thrown each
  // time.
  std::optional<T> next() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return !queue_.empty() || done_; });
    if (queue_.empty()) {
      if (error_) std::rethrow_exception(error_);
      return std::nullopt;
    }
    std::optional<T> value(std::move(queue_.front()));
    queue_.pop_front();
    lock.unlock();
    changed_.notify_all();
    return value;
  }

 private:
  void produce() {
    try {
      while (std::optional<T> value = make_()) {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return queue_.size() < capacity_ || stop_; });
        if (stop_) break;
        queue_.push_back(std::move(*value));
        lock.unlock();
        changed_.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(mutex_);
      error_ = std::current_exception();
    }
    {
      std::lock_guard lock(mutex_);
      done_ = true;
    }
    changed_.notify_all();
  }

  std::function<std::optional<T>()> make_;
  size_t capacity_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<T> queue_;
  std::exception_ptr error_;
  bool done_ = false, stop_ = false;
  std::thread thread_;
};

}  // namespace heed::data
