// The decode state of sliding windows: per row the first `pinned` keys and the last ones, however
// many have passed. Its memory stays the same from some multiple of the window on.
//
// Entry n of row b is key n, or key n + dropped(b) from `pinned` on; both are packed in order.
#pragma once

#include <vector>

#include <heed/nn/attention/kv_cache.h>

namespace heed::nn {

class RingCache : public DecodeState {
 public:
  // `window`: how many keys before the next one stay; negative: all.
  RingCache(KVCache cache, int64_t pinned, int64_t window);
  int64_t batch() const override { return cache_.batch(); }
  Tensor lengths() const override;  // of all keys taken in, the dropped ones too
  void select(const Tensor& rows) override;
  std::unique_ptr<DecodeState> clone() const override;
  int64_t bytes() const override { return cache_.bytes(); }
  void to(Device device) override { cache_.to(device); }
  StateDict save() const override;
  void load(const StateDict& state) override;

  KVCache& cache() { return cache_; }
  int64_t pinned() const { return pinned_; }
  int64_t dropped(int64_t row) const { return dropped_[static_cast<size_t>(row)]; }
  int64_t length(int64_t row) const {
    return cache_.host_lengths()[static_cast<size_t>(row)] + dropped(row);
  }
  // Forgets what no later query sees; not at each call, so that a token costs the same on average.
  void trim();

 private:
  KVCache cache_;
  int64_t pinned_, window_;
  std::vector<int64_t> dropped_;
};

}  // namespace heed::nn
