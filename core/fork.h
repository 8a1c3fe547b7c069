// Inside core: what makes fork() safe. A child has only the thread that called fork(), and locks
// as they were: without this, one held by another thread would never be released there, and the
// pool would wait for workers that do not exist.
//
// Before a fork, the locks of the pool and of the allocators are taken (a job that runs is waited
// for); both processes release them; the child leaves its copy of the pool alone and makes another
// of as many threads when it needs one.
#pragma once

namespace heed {

void register_fork_handlers();  // once, however often it is called

// The pool's and the allocators' part of it.
void lock_pool();
void unlock_pool();
void abandon_pool();  // and unlock
void lock_allocators();
void unlock_allocators();

}  // namespace heed
