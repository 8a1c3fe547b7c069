#include <heed/data/prefetch.h>

#include <unistd.h>

#include <condition_variable>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>

#include <heed/core/error.h>

namespace heed::data {

struct PrefetchQueue::State {
  std::function<std::shared_ptr<void>()> make;
  size_t capacity;
  std::mutex mutex;
  std::condition_variable changed;
  std::deque<std::shared_ptr<void>> queue;
  std::exception_ptr error;
  bool done = false, stop = false;
  const pid_t process = getpid();
  std::thread thread;

  bool has_thread() const { return process == getpid(); }  // not in a child after fork()

  void produce() {
    try {
      while (std::shared_ptr<void> value = make()) {
        std::unique_lock lock(mutex);
        changed.wait(lock, [&] { return queue.size() < capacity || stop; });
        if (stop) break;
        queue.push_back(std::move(value));
        lock.unlock();
        changed.notify_all();
      }
    } catch (...) {
      std::lock_guard lock(mutex);
      error = std::current_exception();
    }
    {
      std::lock_guard lock(mutex);
      done = true;
    }
    changed.notify_all();
  }
};

PrefetchQueue::PrefetchQueue(std::function<std::shared_ptr<void>()> make, size_t capacity)
    : state_(std::make_unique<State>()) {
  if (capacity == 0) throw ValueError("Prefetcher: capacity >= 1 expected, got 0");
  state_->make = std::move(make);
  state_->capacity = capacity;
  state_->thread = std::thread([state = state_.get()] { state->produce(); });
}

PrefetchQueue::~PrefetchQueue() {
  if (!state_->has_thread()) {
    static_cast<void>(state_.release());  // a thread that is not there cannot be joined
    return;
  }
  {
    std::lock_guard lock(state_->mutex);
    state_->stop = true;
  }
  state_->changed.notify_all();
  state_->thread.join();
}

std::shared_ptr<void> PrefetchQueue::next() {
  State& s = *state_;
  if (!s.has_thread())
    throw ValueError("Prefetcher: made before fork(); a child has to make one of its own");
  std::unique_lock lock(s.mutex);
  s.changed.wait(lock, [&] { return !s.queue.empty() || s.done; });
  if (s.queue.empty()) {
    if (s.error) std::rethrow_exception(s.error);
    return nullptr;
  }
  std::shared_ptr<void> value = std::move(s.queue.front());
  s.queue.pop_front();
  lock.unlock();
  s.changed.notify_all();
  return value;
}

}  // namespace heed::data
