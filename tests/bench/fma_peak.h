// What the vector units can do at most, measured: the yardstick of "% of peak".
#pragma once

namespace heed {

// Single-precision operations a second (a fused multiply-add counts 2) of `threads` threads at
// once, with the widest vectors of this processor; the best of some short runs.
double fma_peak(int threads);

}  // namespace heed
