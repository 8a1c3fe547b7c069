// Mask: which keys each query sees, and what is added to the scores. A conjunction of typed terms
// that kernels evaluate tile by tile; there is a T x S tensor only if the user gave one. True means
// *keep*.
//
//   Mask m = Mask::padding({5, 3}) & Mask::window(2, 2);   // two sequences of 5 and 3 tokens
//
// Being causal is the layer's business (AttentionConfig::causal), never a call's mask.
#pragma once

#include <string>
#include <vector>

#include <heed/autograd/ops/attention.h>

namespace heed::nn {

class Mask {
 public:
  Mask() = default;  // everything is visible
  // Valid tokens of row b: [0, lengths[b]), or [begin[b], end[b]) given as i64 [B]. What lies
  // beyond the sequence is not there: a length of 9 on 3 tokens means all 3.
  static Mask key_padding(const std::vector<int64_t>& lengths);
  static Mask key_padding(const Tensor& begin, const Tensor& end);  // begin may be undefined: 0
  static Mask query_padding(const std::vector<int64_t>& lengths);
  static Mask query_padding(const Tensor& begin, const Tensor& end);
  // Self-attention: the same tokens are queries and keys.
  static Mask padding(const std::vector<int64_t>& lengths);
  static Mask padding(const Tensor& begin, const Tensor& end);
  static Mask window(int64_t left, int64_t right);  // -left <= j - i - offset <= right; -1: open
  static Mask alibi(const Tensor& slopes);          // [H]
  static Mask relative(const Tensor& table, bool bidirectional = true, int64_t max_distance = 128);
  static Mask pairs(const Tensor& keep);     // bool, broadcastable to [B, H, T, S]
  static Mask added(const Tensor& bias);     // broadcastable to [B, H, T, S], differentiable
  static Mask offset(const Tensor& offset);  // i64 [B]: query i stands at key i + offset[b]

  // Both: ranges intersect, pair masks and windows narrow, biases add. Two ALiBi terms, two
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
  bool has_bias() const;          // tensor, ALiBi or table
  bool has_left_padding() const;  // reads the ranges
  std::string to_string() const;  // "keys [B=2], window 2..2"

  // ShapeError (with `who`) if a term does not fit q [B, H, T, .] and k [B, ., S, .].
  void check(int64_t batch, int64_t heads, int64_t queries, int64_t keys, const char* who) const;

  // For references and drawings: bool [B or 1, H or 1, T, S], and the sum of the bias terms,
  // broadcastable to [B, H, T, S], or undefined.
  Tensor dense(int64_t batch, int64_t queries, int64_t keys, bool causal = false) const;
  Tensor dense_bias(int64_t batch, int64_t queries, int64_t keys, DType dtype) const;
  // The mask of query rows [begin, begin + count) of T, against the same S keys: what each of these
  // rows sees stays the same.
  Mask rows(int64_t begin, int64_t count, int64_t batch, int64_t queries, int64_t keys) const;

  // x with padded tokens replaced by 0 (selected, so that NaN goes too); x itself if there is no
  // such padding. `axis` is the token axis, axis 0 the batch.
  Tensor select_keys(const Tensor& x, int axis) const;
  Tensor select_queries(const Tensor& x, int axis) const;
  // Self-attention, where x is both: replaces tokens that are padding in each role that has any.
  Tensor select_tokens(const Tensor& x, int axis) const;

  // Says that padded tokens hold finite numbers already (a model selected them to 0 at its
  // entry, or they come from an embedding), so that layers need not select again.
  Mask with_finite_padding() const;
  bool finite_padding() const { return finite_padding_; }

 private:
  AttentionTerms terms_;
  bool finite_padding_ = false;
};

// bool [B, T]: begin[b] <= t < end[b]; an undefined bound is no bound.
Tensor valid_positions(const Tensor& begin, const Tensor& end, int64_t count);
// i64 [B] as numbers on the host; empty when undefined.
std::vector<int64_t> to_integers(const Tensor& tensor);

}  // namespace heed::nn
