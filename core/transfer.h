// Inside core: the two copies between host and device, counted.
#pragma once

#include <cstddef>

#include <heed/core/device.h>

namespace heed {

void copy_to_device(Device device, void* target, const void* host, size_t bytes);
void copy_to_host(Device device, void* host, const void* source, size_t bytes);

}  // namespace heed
