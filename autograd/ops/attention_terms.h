// What an attention op takes besides q, k and v. The terms say which keys each query sees and what
// is added to the scores; the options hold the scale and the dropout.
#pragma once

#include <memory>

#include <heed/autograd/tensor.h>
#include <heed/core/lengths.h>
#include <heed/core/random.h>

namespace heed {

class BlockLayout;

// What is visible and what is added to the scores. An undefined member is no such term.
struct AttentionTerms {
  Lengths key_begin, key_end;      // [B]: valid keys of each row are [begin, end), cut to [0, S)
  Lengths query_begin, query_end;  // [B]
  bool causal = false;             // key j visible to query i iff j - i <= offset
  int64_t window_left = -1;        // >= 0: also j - i - offset >= -left
  int64_t window_right = -1;       // >= 0: also j - i - offset <= right
  Lengths offset;                  // [B]; undefined: S - T for all
  Tensor alibi_slopes;             // [H], adds -slope |j - i - offset|
  Tensor relative_bias;  // [H, buckets], differentiable; adds table[bucket(j - i - offset)] (T5)
  bool relative_bidirectional = true;
  int64_t relative_max_distance = 128;
  Tensor pair_mask;  // bool, broadcastable to [B, H, T, S]; true = keep
  Tensor bias;       // broadcastable to [B, H, T, S], differentiable
  // Only these pairs exist, and only their blocks are computed (block_layout.h); for these T and S.
  std::shared_ptr<const BlockLayout> layout = nullptr;
};

struct FusedAttentionOptions {
  double scale = 1;
  double dropout = 0;  // mask element (b, h, i, j) is number ((b H + h) T + i) S + j of `key`
  RandomKey key = {};
};

// T5's bucket of a relative position (Raffel et al. 2020): half of the buckets are exact, half
// logarithmic.
int64_t relative_bucket(int64_t relative, bool bidirectional, int64_t buckets,
                        int64_t max_distance);
// bool [B or 1, H or 1, T, S] of visible pairs, and the sum of all bias terms or undefined.
Tensor visible_pairs(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s,
                     Device device);
Tensor bias_terms(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype);

// The check of all terms: ShapeError, DTypeError or ValueError, beginning with `who`, unless they
// fit a map [B, H, T, S] of queries of this dtype.
void check_terms(const AttentionTerms& terms, const Shape& map, DType dtype, const char* who);

}  // namespace heed
