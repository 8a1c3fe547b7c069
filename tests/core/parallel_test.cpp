#include <heed/core/parallel.h>

#include <atomic>
#include <stdexcept>
#include <thread>
#include <vector>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>

using namespace heed;

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
