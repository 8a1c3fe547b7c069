// Runs a function in a child process, as fork() makes it.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

namespace heed::test {

// Whether f() returned true in the child. One that hangs is killed after a minute: false.
template <class F>
bool true_in_child(F&& f) {
  pid_t child = fork();
  if (child == 0) {
    alarm(60);
    bool result = false;
    try {
      result = f();
    } catch (...) {  // of Catch2 too: the child must not go on as a second test program
    }
    _exit(result ? 0 : 1);
  }
  int status = -1;
  return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

}  // namespace heed::test
