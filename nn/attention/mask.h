// Mask: which keys each query sees, and what is added to the scores. It is a conjunction of typed
// terms that kernels evaluate tile by tile; there is a T x S tensor only if the user gave one. True
// means *keep*.
//
//   Mask m = Mask::padding({5, 3}) & Mask::window(2, 2);   // two sequences of 5 and 3 tokens
//
// Causality belongs to the layer (AttentionConfig::causal), never to a call's mask. Whether a mask
// fits the queries and keys is checked where it meets them: Attention::check_call.
#pragma once

#include <string>
#include <vector>

#include <heed/autograd/ops/attention_terms.h>

namespace heed::nn {

class Mask {
 public:
  Mask() = default;  // everything is visible
  // Valid tokens of row b: [0, lengths[b]), or [begin[b], end[b]), where either may be undefined.
  // Bounds are clamped to the sequence: a length of 9 on 3 tokens means all 3.
  static Mask key_padding(const Lengths& lengths);
  static Mask key_padding(const Lengths& begin, const Lengths& end);
  static Mask query_padding(const Lengths& lengths);
  static Mask query_padding(const Lengths& begin, const Lengths& end);
  // Self-attention: the same tokens are queries and keys.
  static Mask padding(const Lengths& lengths);
  static Mask padding(const Lengths& begin, const Lengths& end);
  static Mask window(int64_t left, int64_t right);  // -left <= j - i - offset <= right; -1: open
  static Mask alibi(const Tensor& slopes);          // [H]
  static Mask relative(const Tensor& table, bool bidirectional = true, int64_t max_distance = 128);
  static Mask pairs(const Tensor& keep);      // bool, broadcastable to [B, H, T, S]
  static Mask added(const Tensor& bias);      // broadcastable to [B, H, T, S], differentiable
  static Mask offset(const Lengths& offset);  // query i stands at key i + offset[b]

  // Both masks: ranges intersect, pair masks and windows narrow, biases add. Two ALiBi terms, two
  // tables or two different offsets are a ValueError.
  Mask operator&(const Mask& other) const;

  const AttentionTerms& terms() const { return terms_; }
  AttentionTerms terms(bool causal) const;  // with the layer's causal term
  bool has_key_padding() const { return terms_.key_end.defined() || terms_.key_begin.defined(); }
  bool has_query_padding() const {
    return terms_.query_end.defined() || terms_.query_begin.defined();
  }
  bool has_window() const { return terms_.window_left >= 0 || terms_.window_right >= 0; }
  bool has_pairs() const { return terms_.pair_mask.defined(); }
  bool has_bias() const;  // tensor, ALiBi or table
  // The valid tokens of `batch` rows of `count` keys or queries.
  Ranges key_ranges(int64_t batch, int64_t count) const;
  Ranges query_ranges(int64_t batch, int64_t count) const;
  std::string to_string() const;  // "key padding, window 2..2"; "no mask"

  // For references and drawings: bool [B or 1, H or 1, T, S], and the sum of the bias terms,
  // broadcastable to [B, H, T, S], or undefined.
  Tensor dense(int64_t batch, int64_t queries, int64_t keys, Device device,
               bool causal = false) const;
  Tensor dense_bias(int64_t batch, int64_t queries, int64_t keys, DType dtype) const;
  // The mask of query rows [begin, begin + count) of T, against the same S keys. Each of these rows
  // sees what it saw before.
  Mask rows(int64_t begin, int64_t count, int64_t batch, int64_t queries, int64_t keys) const;
  // This mask with its biases in another dtype.
  Mask to(DType dtype) const;
  // The mask of new tokens [begin, begin + count), for a decoding step that takes its tokens in
  // parts. Pair masks and bias tensors stay as they are.
  Mask tokens(int64_t begin, int64_t count) const;

  // x with padded tokens replaced by 0 (by selection, so that NaN disappears too); x itself if
  // there is no such padding. `axis` is the token axis, axis 0 the batch.
  Tensor select_keys(const Tensor& x, int axis) const;
  Tensor select_queries(const Tensor& x, int axis) const;
  // For self-attention, where x is queries and keys: replaces the tokens that are padding in both
  // roles, or in the only role that has padding.
  Tensor select_tokens(const Tensor& x, int axis) const;

  // The same for layers that only need padding to be finite, since 0 x NaN is NaN: x itself if the
  // mask says that its padding is finite already.
  Tensor finite_keys(const Tensor& x, int axis) const;
  Tensor finite_queries(const Tensor& x, int axis) const;
  Tensor finite_tokens(const Tensor& x, int axis) const;
  // This mask, with the promise that padding is finite: a model has set padded tokens to 0 where
  // they enter, or they come from an embedding.
  Mask with_finite_padding() const;

 private:
  AttentionTerms terms_;
  bool finite_padding_ = false;
};

// bool [B, T]: begin[b] <= t < end[b]; an undefined bound is no bound, but one must be defined.
Tensor valid_positions(const Lengths& begin, const Lengths& end, int64_t count, Device device);

}  // namespace heed::nn
