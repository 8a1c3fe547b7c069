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

#include <heed/autograd/ops/attention_terms.h>

namespace heed {

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

// The check of both forms above: operands, terms and options.
void check_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
                     const FusedAttentionOptions& options);

}  // namespace heed
