// One pool of threads for everything. Work is divided by shape and thread count only, never by
// load, so that the same machine, thread count and seed give the same bits.
//
// After fork() the child makes a pool of its own. A child that is forked inside a task may compute
// there, on its one thread, but must not return from the task: end it with exec or _exit.
#pragma once

#include <cstdint>
#include <type_traits>

namespace heed {

// A reference to a callable; it must not outlive the call it is passed to.
template <class Signature>
class FunctionRef;
template <class R, class... A>
class FunctionRef<R(A...)> {
 public:
  template <class F, class = std::enable_if_t<!std::is_same_v<std::decay_t<F>, FunctionRef>>>
  FunctionRef(F&& f)
      : object_(const_cast<void*>(static_cast<const void*>(&f))), call_([](void* o, A... a) -> R {
          return (*static_cast<std::remove_reference_t<F>*>(o))(a...);
        }) {}
  R operator()(A... a) const { return call_(object_, a...); }

 private:
  void* object_;
  R (*call_)(void*, A...);
};

int num_threads();                // HEED_THREADS, else the processors that this process may use
void set_num_threads(int count);  // ValueError below 1 or above 1024

// f(begin, end) on at most num_threads() equal pieces of [0, n), none smaller than `grain`.
// Calls from inside a piece run in place. An exception from a piece is rethrown.
void parallel_for(int64_t n, int64_t grain, FunctionRef<void(int64_t, int64_t)> f);
// f(task) for task in [0, count), handed out as threads become free: for tasks of unequal cost.
// Which thread runs a task must not matter for its result.
void parallel_tasks(int64_t count, FunctionRef<void(int64_t)> f);

}  // namespace heed
