// Scratch memory for kernels: bytes that are no array and belong to one call.
#pragma once

#include <cstdint>

#include <heed/core/parallel.h>

namespace heed::kernels::common {

// Calls f with `bytes` uninitialised bytes, aligned to 64, from the caching allocator; with nullptr
// for 0.
void with_scratch(int64_t bytes, FunctionRef<void(char*)> f);

}  // namespace heed::kernels::common
