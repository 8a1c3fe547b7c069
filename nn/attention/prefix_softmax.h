// Softmax over the positions of each channel, restricted to prefixes and applied to values, without
// a map:
//
//   y_i = sum_f g_if sum_{j <= i} p_ijf v_j,   p_ijf = exp(k_jf) / sum_{l <= i} exp(k_lf)
//
//   Tensor y = prefix_softmax(g, k, values, before);
//
// g [B, Hkv, G, L, D], k [B, Hkv, L, D], values [B, Hkv, L, E + 1]: v and a column that is 1 where
// a key counts, 0 (like v) at padding, where k is lowest(dtype) -> [B, Hkv, G, L, E]. `before`: the
// sums of earlier keys, or null. A row that no key counts for gives 0.
//
// Exact in floating point at any size of k: where keys meet queries by a matrix product, they stand
// relative to the maximum of a block that lies wholly before the queries. Inside a chunk of
// kPrefixChunk rows the blocks are halves, quarters, .. of it; between chunks a state is carried.
// So every exponential is <= 1, and no maximum is taken over a later key.
#pragma once

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/fixed_state.h>

namespace heed::nn {

Tensor prefix_softmax(const Tensor& g, const Tensor& k, const Tensor& values,
                      const KeySums* before);
// Flops of its matrix products for one batch item, on rows padded to whole chunks; `before`: with
// sums of earlier keys.
int64_t prefix_softmax_flops(int64_t length, int64_t d, int64_t e, int64_t heads, int64_t kv_heads,
                             bool before, Pass pass);
// Sums over all keys at once: [B, Hkv, D, E + 1] relative to each channel's maximum.
KeySums channel_sums(const Tensor& k, const Tensor& values);
// 1 / z, but 0 where z is 0.
Tensor inverse(const Tensor& z);

}  // namespace heed::nn
