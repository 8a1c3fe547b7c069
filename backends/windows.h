// The windows that outputs of an axis look through, for pooling and interpolation.
#pragma once

#include <concepts>

#include <heed/backends/kernel.h>

namespace heed {

// Output o of `out` sees the elements begin + k step of `in`, k < count <= widest, all of them
// inside the axis.
struct WindowAxis {
  int64_t in = 1, out = 1, step = 1, widest = 1;
  Array range;    // i64 [out, 2] contiguous: begin, count
  Array weights;  // [out, widest] contiguous, f64 for f64 and f32 otherwise; undefined: no weights
};

template <class Axis, class F>
requires std::same_as<std::remove_const_t<Axis>, WindowAxis>
void arrays_of(Axis& a, F&& f) { f(a.range), f(a.weights); }

}  // namespace heed
