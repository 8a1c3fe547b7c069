// Where the windows of an axis lie, as the loops of pooling and interpolation ask for it.
#pragma once

#include <heed/backends/cpu/pointer.h>
#include <heed/backends/windows.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

struct WindowRanges {
  int64_t in, out, step, widest;
  const int64_t* range;

  explicit WindowRanges(const WindowAxis& a)
      : in(a.in), out(a.out), step(a.step), widest(a.widest), range(pointer<int64_t>(a.range)) {}
  int64_t begin(int64_t o) const { return range[2 * o]; }
  int64_t count(int64_t o) const { return range[2 * o + 1]; }
};

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
