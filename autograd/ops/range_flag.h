// Indices and targets out of range, on devices that the host does not wait for: there an op cannot
// throw, so a kernel sets a flag, which stays until the host asks. What the op itself makes of such
// an index is not defined.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// Sets the flag of the index's device where an entry is outside [0, size) and not `allowed`.
void flag_out_of_range(const Array& index, int64_t size, int64_t allowed);
// Whether the flag was set since the last call, which clears it. Reads back; false on the CPU,
// where ops throw.
bool out_of_range_seen(Device device);

}  // namespace heed
