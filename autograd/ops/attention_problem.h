// How an attention op's operands reach its kernels. Not for users.
#pragma once

#include <array>
#include <limits>

#include <heed/autograd/apply.h>
#include <heed/autograd/ops/attention_terms.h>
#include <heed/autograd/vjp.h>
#include <heed/backends/attention.h>

namespace heed {

// All terms as kernels read them.
AttentionProblem attention_problem(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionTerms& terms,
                                   const FusedAttentionOptions& options);
// Kernels need a last axis without gaps: x itself, or a copy if it has gaps.
Array with_dense_rows(const Array& x);

// What the fused attention ops share: inputs, outputs, and how they reach the kernels and return.
struct FusedAttentionOp {
  enum { kQuery, kKey, kValue, kTable, kBias };  // inputs
  // [B, H, T, E]; the log-sum-exp of each row [B, H, T], which is all of the map that backward
  // needs; for bf16, the result before rounding, from which backward computes D.
  enum { kOut, kLse, kExact };
  static constexpr unsigned saves =
      kAllInputs | output_bit(kOut) | output_bit(kLse) | output_bit(kExact);
  static constexpr unsigned minus_inf = output_bit(kLse);  // of a row without a visible key

  FusedAttentionOp(const AttentionTerms& terms, const FusedAttentionOptions& options);
  AttentionTerms with(const Tensor& table, const Tensor& bias) const;
  AttentionProblem problem(Inputs in) const;
  AttentionProblem problem(const Vjp& v) const;

  AttentionTerms terms;  // without the two that are inputs
  FusedAttentionOptions options;
  bool has_table, has_bias;
};

// What forward kernels write: f32 for bf16.
struct AttentionResults {
  explicit AttentionResults(const AttentionProblem& problem);
  std::array<Array, 3> outputs(DType dtype) const;  // of queries of this dtype
  Array out, lse;
};
// kOut before rounding.
Tensor exact_output(const Vjp& v);
// What backward kernels write, where v needs it.
AttentionGradients new_gradients(const Vjp& v, const AttentionProblem& problem);
void add_gradients(Vjp& v, const AttentionGradients& gradients);

// For FlopCounter: the number of pairs that ranges, window, causality and layout leave, over all
// heads, at most `most` for each query. Pairs that only a pair mask hides are computed, and count.
// Reads only the problem's shapes and limits.
int64_t computed_pairs(const AttentionTerms& terms, const AttentionProblem& problem,
                       int64_t most = std::numeric_limits<int64_t>::max());
// Flops of the fused backward on this many pairs: Q K^T again; dO V^T; dS K, dS^T Q; P^T dO.
int64_t backward_flops(int64_t pairs, const AttentionProblem& problem,
                       const AttentionGradients& gradients);

}  // namespace heed
