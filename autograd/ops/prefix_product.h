// The product that causal linear attention needs: every row of Q meets the keys up to its own.
//
//   y_i = sum_{j <= i} exp(alpha_i + beta_j) (q_i . k_j) v_j        reverse: j >= i
//
//   Tensor y = prefix_product(phi_q, phi_k, v);   // tril(phi_q phi_k^T) v, without the N x N map
//
// q, k [.., N, R], v [.., N, E], alpha, beta [.., N, 1] or both undefined (no exponents) ->
// [.., N, E]; batch axes broadcast; one float dtype.
//
// alpha_i + beta_j <= 0 is required of each pair in the sum; alpha_i = -max_{j <= i} beta_j ensures
// it. Then no exponential exceeds 1, however large beta is: the sum over the keys of earlier chunks
// is carried as sum_j exp(beta_j - top) k_j v_j^T with top = the largest beta among those keys, and
// row i multiplies it by exp(alpha_i + top).
//
// Time is O(N R E + N C (R + E)) in chunks of C = kPrefixChunk rows. Only the operands (and, with
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
