#include <heed/core/parallel.h>

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <thread>
#include <vector>

#include <heed/core/array.h>
#include <heed/core/error.h>
#include <heed/core/memory.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/child.h>

using namespace heed;
using heed::test::message_of;

namespace {
struct Threads {  // for one test
  explicit Threads(int n) : before(num_threads()) { set_num_threads(n); }
  ~Threads() { set_num_threads(before); }
  int before;
};
}  // namespace

TEST_CASE("every index once, whatever the grain and thread count") {
  for (int threads : {1, 2, 5}) {
    Threads guard(threads);
    for (int64_t n : {0, 1, 7, 1000, 4097})
      for (int64_t grain : {1, 3, 1000}) {
        std::vector<std::atomic<int>> hits(static_cast<size_t>(n));
        std::atomic<int> pieces{0};
        parallel_for(n, grain, [&](int64_t begin, int64_t end) {
          ++pieces;
          for (int64_t i = begin; i < end; ++i) ++hits[static_cast<size_t>(i)];
        });
        for (auto& hit : hits) REQUIRE(hit == 1);
        REQUIRE(pieces <= threads);
      }
    std::vector<std::atomic<int>> hits(100);
    parallel_tasks(100, [&](int64_t i) { ++hits[static_cast<size_t>(i)]; });
    for (auto& hit : hits) REQUIRE(hit == 1);
  }
}

TEST_CASE("nested and concurrent calls run in place") {
  Threads guard(3);
  std::atomic<int64_t> sum{0};
  auto work = [&] {
    for (int r = 0; r < 200; ++r)
      parallel_for(64, 1, [&](int64_t begin, int64_t end) {
        parallel_for(end - begin, 1, [&](int64_t b, int64_t e) { sum += e - b; });
      });
  };
  std::thread other(work);
  work();
  other.join();
  REQUIRE(sum == 2 * 200 * 64);
}

TEST_CASE("an exception from a piece comes out and the pool goes on") {
  Threads guard(2);
  for (int r = 0; r < 10; ++r)
    REQUIRE_THROWS_AS(parallel_for(100, 1,
                                   [](int64_t, int64_t end) {
                                     if (end == 100) throw std::runtime_error("piece");
                                   }),
                      std::runtime_error);
  std::atomic<int> count{0};
  parallel_tasks(10, [&](int64_t) { ++count; });
  REQUIRE(count == 10);
  REQUIRE_THROWS_SAYING(set_num_threads(0), ValueError, "0 is not between 1 and 1024");
}

TEST_CASE("the number of threads may change while another thread computes") {
  Threads guard(3);
  std::atomic<bool> stop{false};
  std::atomic<int64_t> jobs{0};
  std::thread other([&] {
    while (!stop) {
      std::atomic<int64_t> sum{0};
      parallel_for(64, 1, [&](int64_t begin, int64_t end) { sum += end - begin; });
      if (sum != 64) break;
      ++jobs;
    }
  });
  for (int i = 0; i < 50; ++i) {
    set_num_threads(2 + i % 3);
    int64_t before = jobs;
    while (jobs == before) std::this_thread::yield();  // it goes on
  }
  stop = true;
  other.join();
  parallel_tasks(1, [](int64_t) {
    REQUIRE_THROWS_SAYING(set_num_threads(2), ValueError, "inside a parallel task");
  });
}

TEST_CASE("threads that cannot be started are an error, and the pool stays as it was") {
#if defined(__SANITIZE_ADDRESS__)
  WARN("not under AddressSanitizer, whose shadow is larger than any limit");
#else
  auto refused = [] {
    rlimit few{int64_t{3} << 30, int64_t{3} << 30};  // of addresses: 1024 stacks take more
    if (setrlimit(RLIMIT_AS, &few) != 0) return false;
    std::string message = message_of<Error>([] { set_num_threads(1024); });
    std::atomic<int> count{0};
    parallel_tasks(10, [&](int64_t) { ++count; });
    return message.starts_with("cannot start 1024 threads, only ") && count == 10 &&
           num_threads() < 1024;
  };
  REQUIRE(test::true_in_child(refused));
#endif
}

TEST_CASE("out of memory in a task names the op whose task it is") {
  Threads guard(2);
  OpName name("conv");
  set_memory_limit(memory_stats(kCpu).reserved_bytes + 1024, kCpu);
  std::vector<std::string> messages(8);
  parallel_tasks(8, [&](int64_t i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // so that both threads have some
    messages[static_cast<size_t>(i)] =
        message_of<OutOfMemoryError>([] { Array::empty({1 << 24}, DType::f32, kCpu); });
  });
  set_memory_limit(0, kCpu);
  for (const std::string& message : messages)
    CHECK_THAT(message, test::ContainsSubstring("out of memory in conv"));
}
