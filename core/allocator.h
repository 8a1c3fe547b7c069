// Inside core: the caching allocator of one device. Users see core/memory.h.
#pragma once

#include <mutex>
#include <vector>

#include <heed/core/device_memory.h>
#include <heed/core/memory.h>

namespace heed {

class Allocator {
 public:
  static constexpr int kStepsPerOctave = 4;  // at most 25 % of a block is unused
  static constexpr size_t kLargeBlock = size_t{2} << 20;

  Allocator(Device device, DeviceMemory& memory) : device_(device), memory_(memory) {}
  static Allocator& of(Device device);  // DeviceError if there is no such device

  DeviceMemory& memory() const { return memory_; }
  Storage* take(size_t bytes);
  void give_back(Storage* storage);
  void release_cached();
  MemoryStats stats();
  int64_t live_bytes();
  void reset_peak();
  void set_limit(int64_t bytes);
  void lock() { mutex_.lock(); }  // for fork()
  void unlock() { mutex_.unlock(); }

 private:
  static constexpr int kClasses = 45 * kStepsPerOctave;
  void release_locked();
  Storage* from_system(int cls, size_t bytes);
  [[noreturn]] void out_of_memory(size_t bytes);

  const Device device_;
  DeviceMemory& memory_;
  std::mutex mutex_;
  std::vector<Storage*> free_[kClasses + kStepsPerOctave];
  MemoryStats stats_;
  int64_t live_bytes_ = 0;
  int64_t limit_ = 0;
};

}  // namespace heed
