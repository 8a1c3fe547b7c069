// How an attention op's operands reach its kernels. Not for users.
#pragma once

#include <heed/autograd/ops/attention.h>
#include <heed/backends/attention.h>

namespace heed {

// All terms as kernels read them.
AttentionProblem attention_problem(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionTerms& terms,
                                   const FusedAttentionOptions& options);
// Kernels read the last axis as it lies: x itself, or a copy where it has gaps.
Array with_dense_rows(const Array& x);
// Memory in x's order of heads and positions: the gradient of a permuted view then permutes back
// without a copy.
Array gradient_like(const Array& x);
// x in another dtype, laid out in memory as [B, T, H, E] like x.
Array rounded(const Array& x, DType dtype);

// For FlopCounter: pairs that ranges, window, causality and layout leave, over all heads. Those
// that only a pair tensor hides are computed. Of the problem only the shapes and limits are read.
int64_t computed_pairs(const AttentionTerms& terms, const AttentionProblem& problem);
// Flops of the fused backward on so many pairs: Q K^T again; dO V^T; dS K, dS^T Q; P^T dO.
int64_t backward_flops(int64_t pairs, const AttentionProblem& problem,
                       const AttentionGradients& gradients);

}  // namespace heed
