// Where an array lives, and which device and number type new tensors get by default.
//
//   DefaultDevice on(Device{Device::Type::cuda});   // until the end of the scope, in this thread
//   nn::Linear layer(64, 64);                       // its parameters are on the GPU
#pragma once

#include <string>
#include <string_view>

#include <heed/core/dtype.h>

namespace heed {

struct Device {
  // `test`: a device that a test program registers (core/device_memory.h); it has memory of its
  // own, which the host cannot read, and is served by the CPU's kernels.
  enum class Type : unsigned char { cpu, cuda, test };
  static constexpr int kTypes = 3;
  static constexpr int kMostOfAType = 16;  // index < kMostOfAType
  Type type = Type::cpu;
  signed char index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{};

std::string to_string(Device device);  // "cpu", "cuda:0"
// The reverse; "cuda" is "cuda:0". ValueError lists what is accepted.
Device parse_device(std::string_view name);

// The device and dtype that creation functions and layers use if none is given. Each thread has its
// own, at first the CPU (or HEED_DEVICE) and f32. Ops, gradients and worker threads never read
// them: they follow their operands.
Device default_device();
DType default_dtype();

class DefaultDevice {
 public:
  explicit DefaultDevice(Device device);  // DeviceError if there is no such device
  ~DefaultDevice();
  DefaultDevice(const DefaultDevice&) = delete;

 private:
  Device before_;
};

class DefaultDType {
 public:
  explicit DefaultDType(DType dtype);
  ~DefaultDType();
  DefaultDType(const DefaultDType&) = delete;

 private:
  DType before_;
};

}  // namespace heed
