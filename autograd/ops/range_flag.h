// Indices and targets out of range on devices that run asynchronously: an op cannot throw there, so
// a kernel sets a flag, which stays set until the host asks. The op's result for such an index is
// undefined.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// Sets the flag of the index's device where an entry is outside [0, size) and not `allowed`.
void flag_out_of_range(const Array& index, int64_t size, int64_t allowed);
// Whether the flag was set since the last call; clears it. Reads back from the device; false on the
// CPU, where ops throw.
bool out_of_range_seen(Device device);

}  // namespace heed
