#include <heed/core/fork.h>

#include <pthread.h>

namespace heed {

// Tasks of the pool allocate, so the pool's job has to end before the allocators are locked.
bool register_fork_handlers() {
  static const int registered = pthread_atfork(
      [] {
        lock_pool();
        lock_allocators();
      },
      [] {
        unlock_allocators();
        unlock_pool();
      },
      [] {
        unlock_allocators();
        abandon_pool();
      });
  (void)registered;  // not 0 only where there is no memory for the handlers
  return true;
}

}  // namespace heed
