#include <heed/core/memory.h>

#include <thread>

#include <heed/core/array.h>
#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("blocks come back from the free list, aligned, without a real allocation") {
  { Array warm = Array::empty({1000}, DType::f32, kCpu); }
  auto before = memory_stats();
  for (int i = 0; i < 100; ++i) {
    Array a = Array::empty({1000}, DType::f32, kCpu);
    REQUIRE(reinterpret_cast<uintptr_t>(a.raw()) % 64 == 0);
  }
  auto after = memory_stats();
  REQUIRE(after.real_allocations == before.real_allocations);
  REQUIRE(after.current_bytes == before.current_bytes);
}

TEST_CASE("current and peak count live blocks") {
  release_cached_memory();
  auto before = memory_stats();
  reset_peak_memory();
  {
    Array a = Array::empty({1 << 20}, DType::f32, kCpu), view = a.transpose(0, 0);
    int64_t live = memory_stats().current_bytes - before.current_bytes;
    REQUIRE(live >= 4 << 20);
    REQUIRE(live <= 5 << 20);
  }
  auto after = memory_stats();
  REQUIRE(after.current_bytes == before.current_bytes);
  REQUIRE(after.peak_bytes - before.current_bytes >= 4 << 20);
  REQUIRE(after.real_allocations > before.real_allocations);
}

TEST_CASE("out of memory names bytes and op, and leaves the allocator usable") {
  set_memory_limit(memory_stats().reserved_bytes + (1 << 20));
  OpName op("softmax");  // in which there is no default device
  REQUIRE_THROWS_SAYING(Array::empty({1 << 28}, DType::f32, kCpu), OutOfMemoryError,
                        "out of memory in softmax: 1073741824 bytes");
  REQUIRE(Array::empty({16}, DType::f32, kCpu).numel() == 16);
  set_memory_limit(0, kCpu);
  REQUIRE(Array::empty({1 << 20}, DType::f32, kCpu).numel() == 1 << 20);
}

TEST_CASE("allocation from several threads") {
  auto work = [] {
    for (int i = 1; i < 2000; ++i) {
      Array a = Array::empty({i % 300 + 1}, DType::u8, kCpu), b = a;
      *static_cast<unsigned char*>(a.raw()) = 1;
    }
  };
  int64_t before = memory_stats().current_bytes;
  std::thread one(work), two(work);
  one.join();
  two.join();
  REQUIRE(memory_stats().current_bytes == before);
}
