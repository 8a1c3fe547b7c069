// The fused op of dense attention: online softmax over tiles, with O(T) memory. The T x S map is
// never stored; backward computes it again. (Milakov & Gimelshein 2018; Dao et al. 2022.)
//
//   O = dropout(softmax(scale Q K^T + terms)) V
//
//   AttentionTerms terms;
//   terms.causal = true;
//   Tensor o = fused_attention(q, k, v, terms, {.scale = 1 / std::sqrt(64.0)});
//
// q [B, H, T, D], k [B, Hkv, S, D], v [B, Hkv, S, E], Hkv divides H; f32, f64, bf16; strided (a
// last axis with gaps costs a copy). The result [B, H, T, E] is a view of memory in the order
// [B, T, H, E], so merging the heads, `transpose(1, 2).reshape({B, T, H * E})`, copies nothing.
//
// A query without a visible key gives output 0 and gradient 0. Keys that no query sees, and queries
// that see no key, affect nothing, whatever their values, NaN included. (A NaN at a key that only
// some queries see may reach the other queries of its tile.)
#pragma once

#include <memory>
#include <optional>

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

// ShapeError, DTypeError or ValueError name the operand and what was expected.
Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionTerms& terms, const FusedAttentionOptions& options);
// Composed of primitives: scores, softmax, product; O(T S) memory.
Tensor fused_attention_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionTerms& terms, const FusedAttentionOptions& options);

// The output with the log-sum-exp of each row's scores, both differentiable. From the parts over
// two disjoint sets of keys, merge_attention makes the attention over both.
struct AttentionParts {
  Tensor out;  // [B, H, T, E]
  Tensor lse;  // [B, H, T]; -inf where no key is visible; f32 for bf16
};
AttentionParts fused_attention_parts(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const AttentionTerms& terms,
                                     const FusedAttentionOptions& options);
AttentionParts fused_attention_parts_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                               const AttentionTerms& terms,
                                               const FusedAttentionOptions& options);
// Attention over the keys of both, which must have none in common: lse = log(e^lse_a + e^lse_b),
// out = e^(lse_a - lse) out_a + e^(lse_b - lse) out_b. ShapeError where the shapes differ.
AttentionParts merge_attention(const AttentionParts& a, const AttentionParts& b);
// A sink: one more key of logit c_h and value 0, so that a head may look at nothing.
//   P = exp(S) / (exp(c) + sum exp(S)),   out' = out sigmoid(lse - c)
// sinks [H]; -inf is plain softmax, 0 the "softmax off by one". (Xiao et al. 2023; gpt-oss 2025.)
Tensor with_sinks(const AttentionParts& parts, const Tensor& sinks);  // [B, H, T, E]

// T5's bucket of a relative position (Raffel et al. 2020): half of the buckets are exact, half
// logarithmic.
int64_t relative_bucket(int64_t relative, bool bidirectional, int64_t buckets,
                        int64_t max_distance);
// bool [B or 1, H or 1, T, S] of visible pairs, and the sum of all bias terms or undefined.
Tensor visible_pairs(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s,
                     Device device = kCpu);
Tensor bias_terms(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype);

// The check of all terms: ShapeError, DTypeError or ValueError, beginning with `who`, unless they
// fit a map [B, H, T, S] of queries of this dtype.
void check_terms(const AttentionTerms& terms, const Shape& map, DType dtype, const char* who);
// The check of both forms above: operands, terms and options.
void check_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
                     const FusedAttentionOptions& options);

}  // namespace heed
