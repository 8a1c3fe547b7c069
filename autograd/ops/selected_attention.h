// Softmax attention over a list of keys per query, and the search for such lists.
//
//   index = attention_topk(q, k, terms, scale, 8);        // i32 [B, H, T, 8]
//   o_i = sum_n p_in v[index_in],  p_i = softmax over n of scale q_i . k[index_in] + biases
//
// q [B, H, T, D], k [B, Hkv, S, D], v [B, Hkv, S, E] as in attention.h. The map is never stored;
// the lists take O(T N) memory. Gradients flow through the listed pairs alone. ShapeError,
// DTypeError or ValueError name the operand.
#pragma once

#include <optional>

#include <heed/autograd/ops/attention.h>

namespace heed {

// i32 [B, H, T, N], N = min(count, S): the visible keys of largest score of each query, in rising
// order, then -1 where fewer are visible. Of equal scores the lowest keys win. Not differentiable.
Tensor attention_topk(const Tensor& q, const Tensor& k, const AttentionTerms& terms, double scale,
                      int64_t count);

struct SelectedAttentionOptions {
  FusedAttentionOptions base = {};  // scale and dropout, with the dropout mask of the T x S map
  // A constant in place of the score of query i with key j = i.
  std::optional<double> self_score = {};
};

// bool [B, H, T, S]: which of `keys` = S keys a list i32 [B, H, T, N] holds (negative: none).
Tensor listed_pairs(const Tensor& index, int64_t keys);

// `index` i32 [B, H, T, N]: keys in [0, S), or negative for none. A query without a key gives 0. Of
// the terms, only the biases apply: the list decides what is visible. (What the others leave
// visible bounds the flops that FlopCounter counts, which never reads the list.) A key that is
// listed twice counts twice.
Tensor selected_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& index,
                          const AttentionTerms& terms, const SelectedAttentionOptions& options);
// Composed of primitives; gathers T N keys and values.
Tensor selected_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const Tensor& index, const AttentionTerms& terms,
                                    const SelectedAttentionOptions& options);

}  // namespace heed
