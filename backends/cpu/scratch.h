// Scratch memory for kernels. A kernel's file that creates an Array instead holds its destructor,
// inline code that other files share: the compiler must have inlined it, as in matmul.cpp (the test
// `weak_symbols` shows where it did not).
#pragma once

#include <cstdint>

#include <heed/core/parallel.h>

namespace heed::kernels::common {

// Calls f with `bytes` uninitialised bytes, aligned to 64, from the caching allocator; with nullptr
// for 0.
void with_scratch(int64_t bytes, FunctionRef<void(char*)> f);

}  // namespace heed::kernels::common
