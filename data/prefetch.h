// Makes values ahead of time in a background thread: a bounded queue between one producer and one
// consumer.
//
// `make` is called in the thread until it returns nullopt. What it throws is thrown by next(),
// after everything made before it. The destructor stops the thread and waits for the call of `make`
// that is running. A child after fork() has no such thread: next() is an error there, and what
// `make` uses must not be used by the child, since the thread may have been in the middle of it.
//
//   Prefetcher<PairBatch> ahead([&, i = int64_t{0}]() mutable -> std::optional<PairBatch> {
//     if (i == batches.count(epoch)) return std::nullopt;
//     return batches.get(epoch, i++);
//   });
//   while (auto batch = ahead.next()) ...
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <utility>

namespace heed::data {

// The queue and its thread, whatever they carry. An empty pointer ends it.
class PrefetchQueue {
 public:
  PrefetchQueue(std::function<std::shared_ptr<void>()> make, size_t capacity);
  ~PrefetchQueue();
  std::shared_ptr<void> next();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

template <class T>
class Prefetcher {
 public:
  // ValueError if capacity is 0.
  explicit Prefetcher(std::function<std::optional<T>()> make, size_t capacity = 4)
      : queue_(
            [make = std::move(make)]() -> std::shared_ptr<void> {
              std::optional<T> value = make();
              return value ? std::make_shared<T>(std::move(*value)) : nullptr;
            },
            capacity) {}

  // The next value; nullopt at the end and ever after. An exception of `make` is thrown again by
  // every later call. ValueError in a child after fork().
  std::optional<T> next() {
    std::shared_ptr<void> value = queue_.next();
    if (!value) return std::nullopt;
    return std::move(*static_cast<T*>(value.get()));
  }

 private:
  PrefetchQueue queue_;
};

}  // namespace heed::data
