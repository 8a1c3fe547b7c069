// Tables that a layer makes on demand, such as the sines of positions: one for each dtype and
// device that asked, grown where a longer one is needed.
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
    if (at == tables_.end()) at = tables_.insert(at, Tensor());
    if (!at->defined() || at->dim(0) < length) {
      int64_t rows = 64;
      while (rows < length) rows *= 2;
      *at = make(rows, like.dtype(), like.device());
    }
    return *at;
  }

 private:
  mutable std::mutex mutex_;
  mutable std::vector<Tensor> tables_;
};

}  // namespace heed::nn
