#include <heed/nn/attention/ring_cache.h>

#include <heed/core/error.h>

namespace heed::nn {

RingCache::RingCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim,
                     int64_t capacity, DType dtype, Device device, int64_t pinned, int64_t window)
    : KVCache("RingCache", batch, kv_heads, head_dim, value_dim, capacity, dtype, device),
      pinned_(pinned),
      window_(window),
      dropped_(held()) {}

Lengths RingCache::lengths() const {
  std::vector<int64_t> all = held_.values();
  for (size_t b = 0; b < all.size(); ++b) all[b] += dropped_.values()[b];
  return all;
}

// Each row is trimmed whole or not at all. Without memory for it the keys stay: the step has
// succeeded by then, and the next one tries again.
void RingCache::trim() try {
  if (window_ < 0) return;
  const int64_t slack = window_ / 2 + 32;
  for (int64_t b = 0; b < batch(); ++b) {
    int64_t spare = held_[b] - pinned_ - window_;
    if (spare < slack) continue;
    std::vector<int64_t> dropped = dropped_.values();
    dropped[static_cast<size_t>(b)] += spare;
    Lengths after = dropped;
    drop(b, pinned_, spare);
    dropped_ = std::move(after);
  }
} catch (const OutOfMemoryError&) {
}

void RingCache::select(const std::vector<int64_t>& rows) {
  std::vector<int64_t> chosen;
  for (int64_t r : rows)
    if (r >= 0 && r < batch()) chosen.push_back(dropped_[r]);  // otherwise the next line throws
  Lengths dropped = chosen;
  KVCache::select(rows);
  dropped_ = std::move(dropped);
}

StateDict RingCache::save() const {
  StateDict state = KVCache::save();
  state["dropped"] = Tensor(dropped_.array(kCpu));
  return state;
}

void RingCache::load(const StateDict& state) {
  auto rows = state.find("lengths");
  Lengths dropped = load_integers(
      state, "dropped",
      rows == state.end() || rows->second.rank() != 1 ? batch() : rows->second.dim(0));
  KVCache::load(state);
  dropped_ = dropped;
}

}  // namespace heed::nn
