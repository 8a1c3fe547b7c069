// A device for tests alone: memory of its own, which the host can neither read nor write outside
// kernels and copies, served by the CPU's kernels. What runs on it as on the CPU neither forgets
// the device nor reads values back behind the program's back.
#pragma once

#include <heed/core/device.h>

namespace heed::test {

// "test:0", registered at the first call.
Device test_device();
// Whether the host can read the byte at `address`; asked of the kernel, without a crash.
bool host_can_read(const void* address);

}  // namespace heed::test
