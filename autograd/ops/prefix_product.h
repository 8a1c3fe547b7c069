// The product that causal linear attention needs: every row of Q meets the keys up to its own.
//
//   y_i = sum_{j <= i} exp(alpha_i + beta_j) (q_i . k_j) v_j        reverse: j >= i
//
//   Tensor y = prefix_product(phi_q, phi_k, v);   // tril(phi_q phi_k^T) v, without the N x N map
//
// q, k [.., N, R], v [.., N, E], alpha, beta [.., N, 1] or both undefined (no exponents) ->
// [.., N, E]; batch axes broadcast; one float dtype. alpha_i + beta_j must not exceed 0 for the
// pairs that meet (a running maximum ensures it); then nothing overflows, since what is carried
// from chunk to chunk is relative to the largest beta so far, never to that of a later key. Time is
// O(N R E + N C (R + E)) in chunks of C = kPrefixChunk rows. Only the operands (and, with
// exponents, the result) are saved for backward. Derivatives of any order exist. ShapeError and
// DTypeError name the operand. (Katharopoulos et al. 2020, arXiv 2006.16236; the chunks: Hua et al.
// 2022, arXiv 2202.10447.)
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

inline constexpr int64_t kPrefixChunk = 64;

Tensor prefix_product(const Tensor& q, const Tensor& k, const Tensor& v,
                      const Tensor& alpha = Tensor(), const Tensor& beta = Tensor(),
                      bool reverse = false);
// The same through the N x N map.
Tensor prefix_product_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& alpha = Tensor(), const Tensor& beta = Tensor(),
                                bool reverse = false);

}  // namespace heed
