// What the losses over classes share: checks of targets and options. Not for users.
#pragma once

#include <heed/autograd/ops/losses.h>

namespace heed {

// `target` i64 of shape `rows`, each 0 <= t < classes or ignore_index; options within their ranges.
void check_class_target(const char* op, const Tensor& target, const Shape& rows, int64_t classes,
                        const CrossEntropyOptions& options);

}  // namespace heed
