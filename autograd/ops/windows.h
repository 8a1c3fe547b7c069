// Windows over an axis, planned on the host from sizes alone. Not for users.
#pragma once

#include <vector>

#include <heed/core/device.h>
#include <heed/core/dtype.h>

namespace heed {

struct WindowAxis;  // backends/windows.h
enum class WindowWeights;

// Output o sees the elements begin[o] + k step, k < count[o]; the default is the axis of one
// element that 1-D and 2-D maps lack.
struct Windows {
  int64_t in = 1, step = 1, widest = 1;
  std::vector<int64_t> begin{0}, count{1};
  WindowWeights kind{};           // at first of_window
  std::vector<double> weight{1};  // as `kind` says, for weighted sums

  int64_t out() const { return static_cast<int64_t>(begin.size()); }
  bool whole() const {  // one output, which sees everything
    return out() == 1 && count[0] == in && step == 1;
  }
  // The same sums from the elements' point of view: element i sees the outputs that saw it.
  Windows transposed() const;
  // As kernels take it. `weighted`: with weights for operands of this dtype.
  WindowAxis on(Device device, DType dtype, bool weighted) const;
};

// Where windows see all of an axis and all of the one before, they see one axis of both. `axes` are
// depth, height and width; with weights, windows that have one each.
void merge_whole(Windows (&axes)[3], bool weighted);

}  // namespace heed
