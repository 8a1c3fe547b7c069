// While it lives, counts the flops of matrix products (matmul, linear, fused attention) on this
// thread, forward and backward: 2 flops per multiply-add. Tests hold cost models to it.
//
//   FlopCounter counter;
//   Tensor c = matmul(a, b);            // [M, K] x [K, N]
//   counter.flops();                    // 2 M K N
#pragma once

#include <cstdint>

namespace heed {

class FlopCounter {
 public:
  FlopCounter() : outer_(innermost_) { innermost_ = this; }
  ~FlopCounter() { innermost_ = outer_; }
  FlopCounter(const FlopCounter&) = delete;
  int64_t flops() const { return flops_; }

  static bool active() { return innermost_ != nullptr; }
  static void add(int64_t flops);  // called by ops; adds to every counter that lives

 private:
  static thread_local constinit FlopCounter* innermost_;
  FlopCounter* outer_;
  int64_t flops_ = 0;
};

}  // namespace heed
