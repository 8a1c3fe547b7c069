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

}  // namespace heed
