// Matrix factorizations over the last two axes, computed in double. A float type in and out;
// K = min(M, N). Results carry no gradient, since that of single vectors has no value where
// singular values coincide: a tensor that requires one is a GradError (detach it, or see
// low_rank_logits). NumericError on NaN.
//
//   auto [u, s, vt] = svd(x.detach());   // x = matmul(u * s, vt)
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

struct QR {
  Tensor q;  // [.., M, K], orthonormal columns
  Tensor r;  // [.., K, N], upper triangular
};
QR qr(const Tensor& x);

struct SVD {
  Tensor u;   // [.., M, K]
  Tensor s;   // [.., 1, K], falling: broadcasts over the columns of u
  Tensor vt;  // [.., K, N]
};
SVD svd(const Tensor& x);

}  // namespace heed
