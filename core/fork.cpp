#include <heed/core/fork.h>

#include <pthread.h>

namespace heed {

// Tasks of the pool allocate, so the pool's job has to end before the allocators are locked.
void register_fork_handlers() {
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
  (void)registered;  // it fails only without memory; fork() is then what it is without this
}

}  // namespace heed
