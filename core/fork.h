// Inside core: what makes fork() safe. A child has only the thread that called fork(), and locks
// as they were. Without the handlers below, a lock that another thread held at that moment would
// stay locked in the child, and the pool would wait for workers that are not there.
//
// Before a fork, the pool's job is waited for, and the locks of the pool and of the allocators are
// taken; both processes release them. The child leaves its copy of the pool alone and makes another
// of as many threads when it needs one. Other objects (a layer, Lengths, batches) have locks of
// their own: a child must not use one that another thread was using at the fork.
#pragma once

namespace heed {

bool register_fork_handlers();  // once, however often it is called; true

// The pool's and the allocators' part of it.
void lock_pool();
void unlock_pool();
void abandon_pool();  // and unlock
void lock_allocators();
void unlock_allocators();

}  // namespace heed
