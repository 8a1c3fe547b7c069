// The windows that outputs of an axis look through, for pooling and interpolation.
#pragma once

#include <concepts>

#include <heed/backends/kernel.h>

namespace heed {

// What a weight belongs to: a mean has one for each window, [out], and its gradient one for each
// element, [in]; only interpolation needs one for each element of a window, [out, widest].
enum class WindowWeights { of_window, of_element, of_both };

// Output o of `out` sees the elements begin + k step of `in`, k < count <= widest, all of them
// inside the axis.
struct WindowAxis {
  int64_t in = 1, out = 1, step = 1, widest = 1;
  Array range;    // i64 [out, 2] contiguous: begin, count
  Array weights;  // contiguous, f64 for f64 and f32 otherwise; undefined: no weights
  WindowWeights kind = WindowWeights::of_window;
};

template <class Axis, class F>
requires std::same_as<std::remove_const_t<Axis>, WindowAxis>
void arrays_of(Axis& a, F&& f) { f(a.range), f(a.weights); }

}  // namespace heed
