// Tables that a layer makes on demand, such as the sines of positions: one per dtype and device,
// replaced by a longer one when needed.
#pragma once

#include <algorithm>
#include <mutex>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed::nn {

class TableCache {
 public:
  TableCache() = default;
  // At least `length` rows, of the dtype and on the device of `like`. make(rows, dtype, device)
  // makes a table; rows are a power of two, 64 at least. Safe from many threads.
  template <class Make>
  Tensor get(int64_t length, const Tensor& like, Make&& make) const {
    std::lock_guard lock(mutex_);
    auto at = std::find_if(tables_.begin(), tables_.end(), [&](const Tensor& t) {
      return t.dtype() == like.dtype() && t.device() == like.device();
    });
    if (at != tables_.end() && at->dim(0) >= length) return *at;
    int64_t rows = 64;
    while (rows < length) rows *= 2;
    Tensor table = make(rows, like.dtype(), like.device());
    if (at == tables_.end()) tables_.push_back(table);
    else *at = table;
    return table;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::vector<Tensor> tables_;
};

}  // namespace heed::nn
