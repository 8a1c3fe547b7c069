// The caching allocator, one per device. Freed blocks go to a free list of their size class, not to
// the system, so a training loop in steady state makes no real allocation (a page fault costs more
// than the arithmetic on the page). All sizes in bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include <heed/core/device.h>
#include <heed/core/ref.h>

namespace heed {

class Allocator;

// One block of a device's memory, aligned to 64. The header lives on the host.
class Storage : public RefCounted {
 public:
  static Ref<Storage> allocate(size_t bytes, Device device);  // OutOfMemoryError, DeviceError
  void* data() const { return data_; }                        // the device's address
  size_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  // Counts changes in place; autograd refuses a saved tensor that changed since.
  uint32_t version() const { return version_; }
  void bump_version() { ++version_; }

 private:
  friend class Allocator;
  friend void destroy(Storage*);
  Storage() = default;
  void* data_ = nullptr;
  size_t bytes_ = 0;
  Allocator* owner_ = nullptr;
  uint32_t version_ = 0;
  int32_t size_class_ = 0;
  Device device_;
};
void destroy(Storage* storage);

struct MemoryStats {
  int64_t current_bytes = 0;     // in live arrays
  int64_t peak_bytes = 0;        // highest current_bytes since reset_peak_memory
  int64_t reserved_bytes = 0;    // taken from the system, free lists included
  int64_t real_allocations = 0;  // requests that went to the system, ever
};
// Of the calling thread's default device, if none is given.
MemoryStats memory_stats(Device device = default_device());
void reset_peak_memory(Device device = default_device());
void release_cached_memory(Device device = default_device());
// Requests that would lift reserved_bytes above the limit throw OutOfMemoryError; 0 = no limit.
void set_memory_limit(int64_t bytes, Device device = default_device());

// Names the running op in error messages; set by the tape.
class OpName {
 public:
  explicit OpName(const char* name) : previous_(current_) { current_ = name; }
  ~OpName() { current_ = previous_; }
  static const char* current() { return current_; }

 private:
  const char* previous_;
  static thread_local constinit const char* current_;
};

}  // namespace heed
