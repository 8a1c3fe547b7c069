// Bytes that live arrays asked for: memory_stats().current_bytes without what size classes add.
// Tests hold cost models to it.
#pragma once

#include <cstdint>

#include <heed/core/device.h>

namespace heed {

int64_t live_bytes(Device device = default_device());

}  // namespace heed
