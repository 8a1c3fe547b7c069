// Ctrl-C (SIGINT) and SIGTERM as a flag that a loop looks at between two updates. A second signal
// ends the program at once, as if there were no handler.
//
//   InterruptGuard guard;
//   while (!InterruptGuard::requested()) { ... }
#pragma once

namespace heed::train {

class InterruptGuard {
 public:
  InterruptGuard();   // installs the handlers and clears the flag; nested guards share them
  ~InterruptGuard();  // puts back what was there before
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  static bool requested();
  static void request();  // as if a signal had come
};

}  // namespace heed::train
