// The decode state of sliding windows: each row holds its first `pinned` keys and its most recent
// ones. Its memory stops growing at some multiple of the window.
//
// Entry n of row b is key n if n < pinned, else key n + dropped()[b]; both parts are in order.
#pragma once

#include <heed/nn/attention/kv_cache.h>

namespace heed::nn {

class RingCache : public KVCache {
 public:
  // `window`: how many keys before the next one stay; negative: all.
  RingCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim, int64_t capacity,
            DType dtype, Device device, int64_t pinned, int64_t window);
  Lengths lengths() const override;  // of all keys taken in, the dropped ones too
  void select(const std::vector<int64_t>& rows) override;
  StateDict save() const override;
  void load(const StateDict& state) override;

  int64_t pinned() const { return pinned_; }
  const Lengths& dropped() const { return dropped_; }
  // Drops the keys that no later query sees. It does so only now and then, so that the cost per
  // token is constant on average.
  void trim();

 private:
  std::unique_ptr<DecodeState> copy() const override { return std::make_unique<RingCache>(*this); }

  int64_t pinned_, window_;
  Lengths dropped_;
};

}  // namespace heed::nn
