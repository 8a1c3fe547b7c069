#include <heed/nn/attention/ring_cache.h>

#include <algorithm>

#include <heed/core/error.h>

namespace heed::nn {

RingCache::RingCache(KVCache cache, int64_t pinned, int64_t window)
    : cache_(std::move(cache)),
      pinned_(pinned),
      window_(window),
      dropped_(static_cast<size_t>(cache_.batch()), 0) {}

Tensor RingCache::lengths() const {
  std::vector<int64_t> all;
  for (int64_t b = 0; b < batch(); ++b) all.push_back(length(b));
  return Tensor::from(all, {batch()});
}

void RingCache::trim() {
  if (window_ < 0) return;
  const int64_t slack = window_ / 2 + 32;
  for (int64_t b = 0; b < batch(); ++b) {
    int64_t held = cache_.host_lengths()[static_cast<size_t>(b)], spare = held - pinned_ - window_;
    if (spare < slack) continue;
    cache_.drop(b, pinned_, spare);
    dropped_[static_cast<size_t>(b)] += spare;
  }
}

void RingCache::select(const Tensor& rows) {
  cache_.select(rows);
  std::vector<int64_t> chosen;
  for (int64_t r : to_integers(rows)) chosen.push_back(dropped_[static_cast<size_t>(r)]);
  dropped_ = chosen;
}

std::unique_ptr<DecodeState> RingCache::clone() const {
  std::unique_ptr<DecodeState> cache = cache_.clone();
  auto copy =
      std::make_unique<RingCache>(std::move(dynamic_cast<KVCache&>(*cache)), pinned_, window_);
  copy->dropped_ = dropped_;
  return copy;
}

StateDict RingCache::save() const {
  StateDict state = cache_.save();
  state["dropped"] = Tensor::from(dropped_, {batch()});
  return state;
}

void RingCache::load(const StateDict& state) {
  if (!state.count("dropped"))
    throw ValueError("RingCache: 'dropped' is missing in the saved state");
  const Tensor& dropped = state.at("dropped");
  bool good = dropped.rank() == 1 && dropped.dtype() == DType::i64 && state.count("lengths") &&
              state.at("lengths").shape() == dropped.shape();
  std::vector<int64_t> values;
  if (good) values = to_integers(dropped);
  good = good && std::all_of(values.begin(), values.end(), [](int64_t n) { return n >= 0; });
  if (!good)
    throw ValueError(str("RingCache: the saved state does not fit: dropped ", dropped.shape(), " ",
                         dropped.dtype()));
  cache_.load(state);
  dropped_ = values;
}

}  // namespace heed::nn
