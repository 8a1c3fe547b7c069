// Matrix factorizations in double, for small cores and tall thin matrices. All arrays f64 and
// contiguous, batch axes first; K = min(M, N). NumericError if the iteration fails (NaN).
#pragma once

#include <heed/backends/kernel.h>

// x [.., M, N] = q r: q [.., M, K] with orthonormal columns, r [.., K, N] upper triangular.
HEED_KERNEL_ONCE(qr, void(const Array& x, const Array& q, const Array& r));

// x [.., M, N] = u diag(s) vt: u [.., M, K], s [.., K] falling, vt [.., K, N].
HEED_KERNEL_ONCE(svd, void(const Array& x, const Array& u, const Array& s, const Array& vt));
