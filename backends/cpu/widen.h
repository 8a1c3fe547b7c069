// bf16 for the large kernels, which have no form of their own for it: their operands are copied to
// f32, and their results rounded from f32. Compiled once (cpu/common/widen.cpp).
#pragma once

#include <heed/backends/attention.h>
#include <heed/core/parallel.h>

namespace heed::kernels::common {

// x itself unless it is bf16. Axes keep the order of their strides, and broadcast ones stay so.
Array widened(const Array& x);

// Calls f with f32 arrays in place of `outs` (up to kMostResults), which then receive what it
// wrote. Arrays that are undefined or not bf16 are passed as they are. `add`: f adds to its
// results, so they start with the values of `outs`.
inline constexpr int kMostResults = 4;
void in_f32(const Array* const* outs, int count, bool add, FunctionRef<void(const Array*)> f);

// Calls f with the problem, its floating operands widened; k and v only if `keys`.
void in_f32(const AttentionProblem& problem, FunctionRef<void(const AttentionProblem&)> f,
            bool keys = true);
// The same for the gradients.
void in_f32(const AttentionGradients& gradients, FunctionRef<void(const AttentionGradients&)> f);

}  // namespace heed::kernels::common
