// A device for tests alone: memory of its own, which the host can neither read nor write outside
// kernels and copies, served by the CPU's kernels. An op that gives the same results here as on the
// CPU neither forgets the device nor reads values on the host unnoticed.
#pragma once

#include <heed/core/device.h>

namespace heed::test {

// "test:0", registered at the first call.
Device test_device();
// Whether the host can read the byte at `address`; asks the operating system, so it cannot crash.
bool host_can_read(const void* address);

}  // namespace heed::test
