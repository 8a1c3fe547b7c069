#include <heed/nn/attention/bigbird.h>

#include <algorithm>
#include <cstdlib>

#include <heed/core/error.h>

namespace heed::nn {

BigBirdAttention::BigBirdAttention(AttentionConfig config)
    : BlockPatternAttention(config, config.options.integer("block", 64, 1, kMostBlock)) {
  const Options& o = this->config().options;
  window_ = o.integer("window", 3, 1, kMostBlock);
  globals_ = o.integer("globals", 2, 0, kMostBlock);
  random_ = o.integer("random", 3, 0, 1024);
  seed_ = o.integer("seed", 0, 0);
  if (window_ % 2 == 0)
    throw ValueError(str("bigbird: option 'window' is '", window_,
                         "'; allowed: an odd number of blocks, the own one in the middle"));
}

std::vector<int64_t> BigBirdAttention::drawn(int64_t r) const {
  // Earlier blocks outside the window and not global.
  int64_t first = globals_, count = r - (window_ - 1) / 2 - first;
  std::vector<int64_t> chosen;
  if (r < globals_ || count <= 0) return chosen;
  if (count <= random_) {
    for (int64_t c = 0; c < count; ++c) chosen.push_back(first + c);
    return chosen;
  }
  for (uint64_t n = 0; static_cast<int64_t>(chosen.size()) < random_; ++n) {
    // Each draw takes one block of random numbers; a repeated draw is discarded.
    std::array<uint32_t, 4> bits =
        philox(static_cast<uint64_t>(seed_), (static_cast<uint64_t>(r) << 20) + n);
    uint64_t wide = uint64_t{bits[0]} << 32 | bits[1];
    int64_t c = first + static_cast<int64_t>(wide % static_cast<uint64_t>(count));
    if (std::find(chosen.begin(), chosen.end(), c) == chosen.end()) chosen.push_back(c);
  }
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

bool BigBirdAttention::sees(int64_t r, int64_t c) const {
  if (std::abs(r - c) <= (window_ - 1) / 2 || r < globals_ || c < globals_) return true;
  std::vector<int64_t> chosen = drawn(std::max(r, c));
  return std::binary_search(chosen.begin(), chosen.end(), std::min(r, c));
}

std::optional<ExactLimit> BigBirdAttention::exact_limit(const AttentionShape& shape) const {
  Options options("bigbird");
  options.set("globals", std::to_string(std::max<int64_t>(shape.queries, shape.keys)));
  return dense_limit(options);
}

}  // namespace heed::nn
