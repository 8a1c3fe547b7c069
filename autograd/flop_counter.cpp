#include <heed/autograd/flop_counter.h>

namespace heed {

thread_local constinit FlopCounter* FlopCounter::innermost_ = nullptr;

void FlopCounter::add(int64_t flops) {
  for (FlopCounter* c = innermost_; c; c = c->outer_) c->flops_ += flops;
}

}  // namespace heed
