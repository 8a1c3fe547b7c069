#include <heed/core/fork.h>

#include <atomic>
#include <thread>
#include <vector>

#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/tensor.h>
#include <heed/core/array.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/child.h>

using namespace heed;
using namespace heed::test;

namespace {
struct Threads {  // for one test
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};

bool works(int threads) {
  std::atomic<int> sum{0};
  parallel_tasks(100, [&](int64_t i) { sum += static_cast<int>(i); });
  Tensor a = full({300, 300}, 2, {.dtype = DType::f32});
  return sum == 4950 && num_threads() == threads && mean(matmul(a, a)).item() == 1200;
}
}  // namespace

TEST_CASE("fork: a child computes with as many threads, and so does its own child") {
  Threads guard(3);
  REQUIRE(works(3));
  CHECK(true_in_child([] { return works(3); }));
  CHECK(true_in_child([] { return works(3) && true_in_child([] { return works(3); }); }));
  CHECK(true_in_child([] {
    set_num_threads(2);
    return works(2);
  }));
  CHECK(works(3));
}

// Not with GCC's address sanitizer, whose own allocator leaves its locks taken in a child.
#ifndef __SANITIZE_ADDRESS__
TEST_CASE("fork: while other threads compute and allocate") {
  Threads guard(2);
  std::atomic<bool> stop{false};
  std::vector<std::thread> others;
  for (int i = 0; i < 3; ++i)
    others.emplace_back([&] {
      while (!stop) {
        parallel_for(64, 1, [](int64_t, int64_t) { Array::zeros({1000}, DType::f32, kCpu); });
      }
    });
  int good = 0;
  for (int i = 0; i < 30; ++i) good += true_in_child([] { return works(2); });
  stop = true;
  for (std::thread& each : others) each.join();
  CHECK(good == 30);
  CHECK(works(2));
}

#endif

TEST_CASE("fork: inside a task and outside at once") {
  Threads guard(2);
  std::atomic<bool> stop{false};
  std::atomic<int> good{0}, tried{0};
  std::thread other([&] {
    while (!stop) {
      ++tried;
      good += true_in_child([] { return true; });
    }
  });
  for (int i = 0; i < 10; ++i)
    parallel_for(2, 1, [&](int64_t, int64_t) {
      ++tried;
      good += true_in_child([] { return true; });
    });
  stop = true;
  other.join();
  CHECK(good == tried);
}

TEST_CASE("fork: inside a task, the child goes on alone") {
  Threads guard(2);
  std::atomic<int> good{0};
  parallel_for(2, 1, [&](int64_t, int64_t) { good += true_in_child([] { return works(2); }); });
  CHECK(good == 2);
  CHECK(works(2));
}
