// How an attention op's operands reach its kernels. Not for users.
#pragma once

#include <limits>

#include <heed/autograd/ops/attention_terms.h>
#include <heed/backends/attention.h>

namespace heed {

// All terms as kernels read them.
AttentionProblem attention_problem(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionTerms& terms,
                                   const FusedAttentionOptions& options);
// Kernels need a last axis without gaps: x itself, or a copy if it has gaps.
Array with_dense_rows(const Array& x);
// A new array with x's order of heads and positions in memory, so that the gradient of a permuted
// view can be permuted back without a copy.
Array gradient_like(const Array& x);
// x in another dtype, laid out in memory as [B, T, H, E] like x.
Array rounded(const Array& x, DType dtype);

// For FlopCounter: the number of pairs that ranges, window, causality and layout leave, over all
// heads, at most `most` for each query. Pairs that only a pair mask hides are computed, and count.
// Reads only the problem's shapes and limits.
int64_t computed_pairs(const AttentionTerms& terms, const AttentionProblem& problem,
                       int64_t most = std::numeric_limits<int64_t>::max());
// Flops of the fused backward on this many pairs: Q K^T again; dO V^T; dS K, dS^T Q; P^T dO.
int64_t backward_flops(int64_t pairs, const AttentionProblem& problem,
                       const AttentionGradients& gradients);

}  // namespace heed
