// What the rest of heed has to know of a device: how its memory is allocated, copied and filled.
// The CPU's is built in. A backend registers one object for each of its devices before anything
// uses them; core knows nothing else of any backend.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include <heed/core/device.h>

namespace heed {

class DeviceMemory {
 public:
  virtual ~DeviceMemory() = default;
  virtual std::string name() const = 0;  // for people, such as "NVIDIA H200"
  // A block of this many bytes, aligned to 64, or nullptr if there is no more. `bytes` is passed
  // back to free.
  virtual void* allocate(size_t bytes) = 0;
  virtual void free(void* block, size_t bytes) = 0;
  // In order with the device's kernels. When to_host returns, the values are there.
  virtual void to_device(void* target, const void* host, size_t bytes) = 0;
  virtual void to_host(void* host, const void* source, size_t bytes) = 0;
  virtual void within(void* target, const void* source, size_t bytes) = 0;
  virtual void fill(void* target, unsigned char value, size_t bytes) = 0;
  // A device without kernels of its own may be served by the CPU's, which then work on its memory
  // at this address.
  virtual bool served_by_cpu() const { return false; }
  virtual void* host_address([[maybe_unused]] void* address) const { return nullptr; }
};

// `memory` must live as long as the program. ValueError: an index out of range, registered twice.
void register_device(Device device, DeviceMemory& memory);
bool has_device(Device device);
std::vector<Device> devices();               // the CPU first
DeviceMemory& device_memory(Device device);  // DeviceError if there is no such device

// Copies between host and devices so far. Reading back makes the host wait for the device; a
// training step must not do it.
struct TransferCounts {
  int64_t to_device = 0, to_host = 0;
};
TransferCounts transfer_counts(Device device);

}  // namespace heed
