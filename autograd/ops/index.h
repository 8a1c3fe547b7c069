// Reading and writing by index. Indices are i64 (or i32) and get no gradient. One out of range is
// on the CPU a ValueError that names it and its position; on other devices it reads 0, adds nothing
// and sets the device's flag (range_flag.h). The host's own, a vector, are checked there.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// out = x with axis `axis` replaced by index [N]: the slices asked for, repeats allowed.
Tensor index_select(const Tensor& x, int axis, const Tensor& index);
Tensor index_select(const Tensor& x, int axis, const std::vector<int64_t>& index);  // the host's
// weight [V, D], ids of any shape -> [.., D]. Rows of `padding_index` (if >= 0) get no gradient.
Tensor embedding(const Tensor& weight, const Tensor& ids, int64_t padding_index = -1);

struct Selected {
  Tensor values;   // differentiable
  Tensor indices;  // i64
};
// The k largest along an axis, in falling order; ties: lowest index first. ValueError if k > size.
Selected topk(const Tensor& x, int64_t k, int axis = -1);
Selected sort(const Tensor& x, int axis = -1, bool descending = false);  // stable

}  // namespace heed
