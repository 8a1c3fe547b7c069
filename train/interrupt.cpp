#include <heed/train/interrupt.h>

#include <csignal>

namespace heed::train {

namespace {
volatile std::sig_atomic_t flag = 0;
int guards = 0;
struct sigaction before_int, before_term;

void on_signal(int signal) {
  if (!flag) {
    flag = 1;
    return;
  }
  // The second one: die by the signal itself, so that a shell sees why.
  struct sigaction standard {};
  standard.sa_handler = SIG_DFL;
  ::sigaction(signal, &standard, nullptr);
  ::raise(signal);
}
}  // namespace

InterruptGuard::InterruptGuard() {
  if (guards++ > 0) return;
  flag = 0;
  struct sigaction action {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;  // file writes in progress go on
  ::sigaction(SIGINT, &action, &before_int);
  ::sigaction(SIGTERM, &action, &before_term);
}

InterruptGuard::~InterruptGuard() {
  if (--guards > 0) return;
  ::sigaction(SIGINT, &before_int, nullptr);
  ::sigaction(SIGTERM, &before_term, nullptr);
}

bool InterruptGuard::requested() { return flag != 0; }
void InterruptGuard::request() { flag = 1; }

}  // namespace heed::train
