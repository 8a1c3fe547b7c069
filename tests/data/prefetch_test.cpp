#include <heed/data/prefetch.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/child.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

TEST_CASE("prefetch: everything, in order, then the end for good") {
  Prefetcher<std::unique_ptr<int>> ahead(
      [i = 0]() mutable -> std::optional<std::unique_ptr<int>> {
        if (i == 1000) return std::nullopt;
        return std::make_unique<int>(i++);
      },
      3);
  for (int i = 0; i < 1000; ++i) {
    auto value = ahead.next();
    REQUIRE(value.has_value());
    REQUIRE(**value == i);
  }
  CHECK_FALSE(ahead.next().has_value());
  CHECK_FALSE(ahead.next().has_value());
}

TEST_CASE("prefetch: never more than the capacity ahead") {
  std::atomic<int> made = 0;
  Prefetcher<int> ahead([&]() -> std::optional<int> { return made++; }, 2);
  for (int i = 0; i < 50; ++i) {
    REQUIRE(ahead.next() == i);
    REQUIRE(made <= i + 1 + 2 + 1);  // taken, queued, and one that waits for room
  }
  // It did work ahead, and then it waits. The test runner ends what never comes.
  while (made < 50 + 2 + 1) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  CHECK(made == 50 + 2 + 1);
}

TEST_CASE("prefetch: an exception comes out after what was made before it") {
  Prefetcher<int> ahead([i = 0]() mutable -> std::optional<int> {
    if (i == 2) throw IoError("disk gone");
    return i++;
  });
  CHECK(ahead.next() == 0);
  CHECK(ahead.next() == 1);
  CHECK_THROWS_AS(ahead.next(), IoError);
  CHECK_THROWS_AS(ahead.next(), IoError);
}

TEST_CASE("prefetch: stops while the queue is full, empty or never read") {
  for (int taken : {0, 1, 5}) {
    auto alive = std::make_shared<int>(0);
    {
      Prefetcher<std::shared_ptr<int>> ahead(
          [&]() -> std::optional<std::shared_ptr<int>> { return alive; }, 2);
      for (int i = 0; i < taken; ++i) ahead.next();
    }
    CHECK(alive.use_count() == 1);  // nothing left behind
  }
  {
    Prefetcher<int> empty([]() -> std::optional<int> { return std::nullopt; });
  }
  CHECK_THROWS_AS(Prefetcher<int>([]() -> std::optional<int> { return 1; }, 0), ValueError);
}

TEST_CASE("prefetch: a child after fork() has no thread that makes anything") {
  auto one = []() -> std::optional<int> { return 1; };
  auto ahead = std::make_unique<Prefetcher<int>>(one);
  REQUIRE(ahead->next() == 1);
  CHECK(true_in_child([&] {
    REQUIRE_THROWS_SAYING(ahead->next(), ValueError, "fork()");
    ahead.reset();  // and waits for no thread
    return Prefetcher<int>(one).next() == 1;
  }));
  CHECK(ahead->next() == 1);
}
