// Where the windows of pooling lie (pool.h).
#pragma once

#include <heed/core/shape.h>

namespace heed {

// Output o looks at the elements o stride - padding + k dilation, k < kernel.
struct PoolOptions {
  Shape stride = {};       // >= 1; none: the kernel
  Shape padding = {0};     // on both sides, at most half of the kernel's extent
  Shape dilation = {1};    // >= 1; max_pool alone
  bool ceil_mode = false;  // also a last window that only begins inside
  // avg_pool alone: divide by the size of the window with its padding, or without.
  bool count_include_pad = true;
  int64_t divisor_override = 0;  // avg_pool alone: divide by this number, unless it is 0
};

}  // namespace heed
