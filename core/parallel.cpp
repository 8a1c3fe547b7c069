#include <heed/core/parallel.h>

#include <sched.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <heed/core/config.h>
#include <heed/core/error.h>
#include <heed/core/fork.h>
#include <heed/core/memory.h>

namespace heed {
namespace {

thread_local constinit bool inside_task = false;
std::atomic<int> forks_waiting{0};  // for a job to end; no other one begins then

void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1u, std::thread::hardware_concurrency());
}

// Workers spin briefly after a job, since the next one of a training step follows within
// microseconds, then sleep.
class Pool {
 public:
  explicit Pool(int threads) : threads_(threads) {
    try {
      for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      size_t started = workers_.size();
      end_workers();
      throw Error(str("cannot start ", threads, " threads, only ", started + 1, ": ",
                      error.code().message()));
    }
  }
  // Ends its threads when the running job is done. The jobs of whoever still has it run without.
  void retire() {
    std::lock_guard busy(busy_);
    end_workers();
  }
  int threads() const { return threads_; }

  // While this is locked no job runs. Inside a task, whose job would never end, it does nothing.
  bool try_lock() { return inside_task || busy_.try_lock(); }
  void unlock() {
    if (!inside_task) busy_.unlock();
  }

  void run(int64_t count, FunctionRef<void(int64_t)> f) {
    if (threads_ == 1 || count == 1 || inside_task || forks_waiting > 0) return run_here(count, f);
    std::unique_lock busy(busy_, std::try_to_lock);
    if (!busy) return run_here(count, f);
    f_ = &f;
    op_ = OpName::current();
    count_ = count;
    next_ = 0;
    error_ = nullptr;
    running_ = static_cast<int>(workers_.size());
    generation_.fetch_add(1);
    if (sleeping_.load() > 0) wake_all();
    take_tasks();
    for (int spin = 0; running_.load(std::memory_order_acquire) > 0; ++spin)
      spin < 20000 ? relax() : std::this_thread::yield();
    if (error_) std::rethrow_exception(error_);
  }

 private:
  void end_workers() {
    stop_ = true;
    wake_all();
    for (auto& worker : workers_) worker.join();
    workers_.clear();
  }

  static void run_here(int64_t count, FunctionRef<void(int64_t)> f) {
    bool before = std::exchange(inside_task, true);
    struct Restore {
      bool value;
      ~Restore() { inside_task = value; }
    } restore{before};
    for (int64_t i = 0; i < count; ++i) f(i);
  }

  void take_tasks() {
    OpName scope(op_);
    inside_task = true;
    for (int64_t i; (i = next_.fetch_add(1)) < count_;) {
      try {
        (*f_)(i);
      } catch (...) {
        std::lock_guard lock(mutex_);
        if (!error_) error_ = std::current_exception();
      }
    }
    inside_task = false;
  }

  void wake_all() {
    { std::lock_guard lock(mutex_); }
    wake_.notify_all();
  }

  void work() {
    uint64_t seen = 0;
    while (true) {
      auto fresh = [&] { return generation_ != seen || stop_; };
      for (int spin = 0; spin < 4000 && !fresh(); ++spin) relax();
      if (!fresh()) {
        std::unique_lock lock(mutex_);
        sleeping_.fetch_add(1);
        wake_.wait(lock, fresh);
        sleeping_.fetch_sub(1);
      }
      if (stop_) return;
      seen = generation_.load();
      take_tasks();
      running_.fetch_sub(1, std::memory_order_release);
    }
  }

  const int threads_;
  std::vector<std::thread> workers_;
  std::mutex busy_, mutex_;
  std::condition_variable wake_;
  std::atomic<uint64_t> generation_{0};
  std::atomic<int> running_{0}, sleeping_{0};
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> next_{0};
  FunctionRef<void(int64_t)>* f_ = nullptr;
  const char* op_ = "";  // whose job this is, for messages
  int64_t count_ = 0;
  std::exception_ptr error_;
};

std::mutex pool_mutex;
// Pools are never deleted: destructors of static objects may need the threads of the last one, and
// other threads may be about to use those before it.
std::atomic<Pool*> pool_pointer{nullptr};
std::vector<Pool*>& retired() {
  static auto* pools = new std::vector<Pool*>;
  return *pools;
}

// The pool that this process has a copy of without its threads.
Pool* abandoned = nullptr;

Pool& pool() {
  if (Pool* p = pool_pointer.load(std::memory_order_acquire)) return *p;
  std::lock_guard lock(pool_mutex);
  if (!pool_pointer) {
    int64_t threads = abandoned ? abandoned->threads()
                                : env_integer("HEED_THREADS", 1, 1024, available_processors());
    pool_pointer = new Pool(static_cast<int>(threads));
  }
  return *pool_pointer;
}

}  // namespace

// pool_mutex is not held while a job runs: one of its tasks may fork, too.
void lock_pool() {
  ++forks_waiting;
  while (true) {
    pool_mutex.lock();
    Pool* p = pool_pointer;
    if (!p || p->try_lock()) break;
    pool_mutex.unlock();
    std::this_thread::yield();
  }
}
void unlock_pool() {
  if (Pool* p = pool_pointer) p->unlock();
  pool_mutex.unlock();
  --forks_waiting;
}
void abandon_pool() {
  if (Pool* p = pool_pointer.exchange(nullptr)) abandoned = p;
  pool_mutex.unlock();
  forks_waiting = 0;
}

// Before main, so that no thread is inside the pool's or an allocator's first use at a fork.
static const bool fork_handlers_are_there = register_fork_handlers();

int num_threads() { return pool().threads(); }

void set_num_threads(int count) {
  if (count < 1 || count > 1024)
    throw ValueError(str("set_num_threads: ", count, " is not between 1 and 1024"));
  if (pool().threads() == count) return;
  if (inside_task) throw ValueError("set_num_threads: called inside a parallel task");
  std::lock_guard lock(pool_mutex);
  Pool* old = pool_pointer.exchange(new Pool(count));
  old->retire();
  retired().push_back(old);
}

void parallel_tasks(int64_t count, FunctionRef<void(int64_t)> f) {
  if (count > 0) pool().run(count, f);
}

void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t)> f) {
  if (n <= 0) return;
  int64_t pieces = n <= grain ? 1 : std::min<int64_t>(num_threads(), (n + grain - 1) / grain);
  if (pieces == 1) return f(0, n);
  int64_t size = (n + pieces - 1) / pieces;
  auto piece = [&](int64_t i) {
    int64_t begin = i * size, end = std::min(n, begin + size);
    if (begin < end) f(begin, end);
  };
  pool().run(pieces, piece);
}

}  // namespace heed
