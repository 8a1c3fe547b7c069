#include <heed/core/device.h>

#include <heed/core/array.h>
#include <heed/core/device_memory.h>
#include <heed/core/memory.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using heed::test::test_device;

TEST_CASE("names of devices and back") {
  REQUIRE(to_string(kCpu) == "cpu");
  REQUIRE(to_string(Device{Device::Type::cuda, 2}) == "cuda:2");
  REQUIRE(parse_device("cpu") == kCpu);
  REQUIRE(parse_device("cuda") == Device{Device::Type::cuda, 0});
  REQUIRE(parse_device("cuda:15") == Device{Device::Type::cuda, 15});
  for (const char* bad : {"", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:16"})
    REQUIRE_THROWS_SAYING(parse_device(bad), ValueError, "is not cpu, cuda or cuda:<number>");
}

TEST_CASE("a device has to be registered, once") {
  Device device = test_device();
  REQUIRE(has_device(kCpu));
  REQUIRE(has_device(device));
  REQUIRE(devices().front() == kCpu);
  Device missing{Device::Type::cuda, 7};
  REQUIRE_FALSE(has_device(missing));
  REQUIRE_THROWS_SAYING(Array::empty({2}, DType::f32, missing), DeviceError,
                        "there is no device cuda:7; there is: cpu");
  REQUIRE_THROWS_SAYING(DefaultDevice(missing), DeviceError, "cuda:7");
  REQUIRE_THROWS_SAYING(register_device(device, device_memory(device)), ValueError, "already");
  REQUIRE_THROWS_SAYING(register_device(kCpu, device_memory(device)), ValueError, "cpu");
}

TEST_CASE("the host can read neither a device's array nor its address") {
  Array a = Array::from({1.f, 2.f, 3.f}, {3});
  REQUIRE(test::host_can_read(a.raw()));
  Array there = a.to(test_device());
  REQUIRE(there.device() == test_device());
  REQUIRE_FALSE(test::host_can_read(there.raw()));
  OpName op("softmax");
  REQUIRE_THROWS_SAYING(there.data<float>(), DeviceError,
                        "the host reads an array [3] on test:0 in softmax");
  REQUIRE(there.host_view().data<float>()[2] == 3);
}

TEST_CASE("copies between devices are counted, each way") {
  TransferCounts before = transfer_counts(test_device());
  Array a = Array::from({1.f, 2.f, 3.f, 4.f}, {2, 2});
  Array there = a.to(test_device()), again = there.to(test_device());
  REQUIRE(again.shares_storage(there));
  Array back = there.to(kCpu);
  REQUIRE(back.data<float>()[3] == 4);
  TransferCounts after = transfer_counts(test_device());
  REQUIRE(after.to_device - before.to_device == 1);
  REQUIRE(after.to_host - before.to_host == 1);
  REQUIRE_THROWS_SAYING(there.transpose(0, 1).to(kCpu), ShapeError, "make it contiguous");
  Array zeros = Array::zeros({3}, DType::i64, test_device());
  REQUIRE(zeros.to(kCpu).data<int64_t>()[1] == 0);
  REQUIRE(zeros.new_empty({2}).device() == test_device());
  REQUIRE(zeros.new_zeros({2}, DType::f64).to(kCpu).data<double>()[1] == 0);
}

TEST_CASE("each device counts and limits its own memory") {
  Device device = test_device();
  release_cached_memory(device);
  MemoryStats cpu = memory_stats(), there = memory_stats(device);
  Array a = Array::empty({1 << 20}, DType::f32, device);
  REQUIRE(memory_stats().current_bytes == cpu.current_bytes);
  REQUIRE(memory_stats(device).current_bytes - there.current_bytes >= 4 << 20);
  REQUIRE(memory_stats(device).real_allocations == there.real_allocations + 1);
  set_memory_limit(memory_stats(device).reserved_bytes + 1024, device);
  REQUIRE_THROWS_SAYING(Array::empty({1 << 22}, DType::f32, device), OutOfMemoryError,
                        "in use on test:0");
  REQUIRE(Array::empty({1 << 22}, DType::f32, kCpu).numel() == 1 << 22);
  set_memory_limit(0, device);
}

TEST_CASE("defaults hold for a scope and a thread") {
  REQUIRE(default_device() == kCpu);
  REQUIRE(default_dtype() == DType::f32);
  {
    DefaultDevice on(test_device());
    DefaultDType wide(DType::f64);
    REQUIRE(default_device() == test_device());
    REQUIRE(default_dtype() == DType::f64);
    { DefaultDevice back(kCpu); }
    REQUIRE(default_device() == test_device());
  }
  REQUIRE(default_device() == kCpu);
  REQUIRE(default_dtype() == DType::f32);
  REQUIRE_THROWS_SAYING(DefaultDType(DType::i64), DTypeError, "i64");
  OpName op("softmax");
  REQUIRE_THROWS_SAYING(default_device(), DeviceError, "softmax");
  REQUIRE_THROWS_SAYING(default_dtype(), DeviceError, "softmax");
}
