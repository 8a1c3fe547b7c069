// Where an array lives.
#pragma once

#include <string>

namespace heed {

struct Device {
  enum class Type : unsigned char { cpu, cuda };
  Type type = Type::cpu;
  signed char index = 0;
  bool operator==(const Device&) const = default;
};

inline constexpr Device kCpu{};

std::string to_string(Device device);  // "cpu", "cuda:0"

}  // namespace heed
