// The best approximation of rank r of scores q k^T (Eckart & Young 1936), as two thin factors and
// without the T x S matrix. With q = Uq Rq, k = Uk Rk and the SVD Rq Rk^T = A S B^T (D x D):
//
//   q_r = Uq A_r S_r [.., T, r]    k_r = Uk B_r [.., S, r]    q_r k_r^T = (q k^T)_r
//
//   auto [a, b] = low_rank_logits(q, k, {.rank = 8});   // scores = matmul(a, b^T)
//
// q [.., T, D], k [.., S, D], f32, f64, bf16; factorizations run in double. 1 <= rank <= min(T, S,
// D), ValueError otherwise.
//
// The factors are unique only up to a rotation, their product is not: the gradient is right for
// every function of matmul(q_r, k_r^T), and only for those. It divides by s_i^2 - s_j^2 only for a
// kept and a dropped singular value, never for two kept or two dropped ones; that difference is
// held above kGap s_1^2. Where q k^T has a rank below r through dependent rows, the directions that
// it lacks get gradient 0. Second derivatives exist. `projected`: the bases count as constants, so
// nothing is divided; q_r k_r^T is then differentiated as if it were q k^T projected on fixed
// spaces, which is not its true derivative.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

struct LowRankOptions {
  int64_t rank = 1;
  bool projected = false;
  static constexpr double kGap = 1e-6;
};

struct LogitFactors {
  Tensor q;  // [.., T, r]
  Tensor k;  // [.., S, r]
};
LogitFactors low_rank_logits(const Tensor& q, const Tensor& k, const LowRankOptions& options);

}  // namespace heed
