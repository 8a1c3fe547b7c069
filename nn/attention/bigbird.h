// BigBird (Zaheer et al. 2020, arXiv 2007.14062): block-sparse attention with a window, global and
// random blocks. Block row r sees block c iff one of
//
//   |r - c| <= (window - 1) / 2        its neighbourhood
//   r < globals or c < globals         the first blocks see and are seen by all
//   c is one of the `random` blocks drawn for r, or r one of those drawn for c
//
// Random blocks are drawn among the earlier blocks that the other two rules do not cover (all of
// them if there are fewer), by `seed` and r alone: they are the same for every length, so padding,
// decoding and prefixes agree. Each row has `random` earlier ones, and as many later ones on
// average (the paper draws among all blocks, which a causal layer cannot use). Short inputs are
// treated like long ones: there is no switch to full attention.
// Options: block (64), window (3, odd), globals (2), random (3), seed (0).
#pragma once

#include <heed/nn/attention/block_sparse.h>

namespace heed::nn {

class BigBirdAttention : public BlockPatternAttention {
 public:
  explicit BigBirdAttention(AttentionConfig config);
  const char* name() const override { return "bigbird"; }
  bool sees(int64_t r, int64_t c) const override;
  // The earlier blocks drawn for block row r, in rising order.
  std::vector<int64_t> drawn(int64_t r) const;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;

 private:
  int64_t window_, globals_, random_, seed_;
};

}  // namespace heed::nn
