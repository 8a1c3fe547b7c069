// Indices and targets out of range on devices that run asynchronously: an op cannot throw there, so
// a kernel sets a flag, which stays set until the host asks. Meanwhile such an index reads 0 and
// adds nothing, and such a target is ignored.
//
// Whoever reads results from a device asks once, at the end:
//
//   refuse_out_of_range("beam_search", device);
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// Sets the flag of the index's device where an entry is outside [0, size) and not `allowed`.
void flag_out_of_range(const Array& index, int64_t size, int64_t allowed);
// `index` (i64 or i32, else DTypeError) as kernels take it, i64 and contiguous. An entry outside
// [0, size) sets the flag; on the CPU it is a ValueError that names it and its position.
Tensor checked_index(const char* op, const Tensor& index, int64_t size);
// Whether the flag was set since the last call; clears it. Reads back from the device; false on the
// CPU, where ops throw.
bool out_of_range_seen(Device device);
// If the flag was set, a ValueError: it begins with `who` and says on which device. Unlike the
// CPU's, thrown by the op itself, it cannot name the index.
void refuse_out_of_range(const char* who, Device device);

}  // namespace heed
