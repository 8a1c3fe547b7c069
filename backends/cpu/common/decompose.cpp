// LAPACK stores matrices by columns, so it sees a row-major matrix as its transpose. QR of x is LQ
// of what LAPACK sees, and left and right singular vectors change places: nothing is transposed.
#include <heed/backends/decompose.h>

#include <algorithm>
#include <vector>

#include <heed/backends/cpu/blas.h>
#include <heed/core/error.h>
#include <heed/core/parallel.h>

namespace heed::kernels::common {
namespace {

struct Sizes {
  int64_t count, m, n, k;
};

Sizes sizes(const Array& x) {
  int64_t m = x.dim(-2), n = x.dim(-1), count = 1;
  for (int i = 0; i < x.rank() - 2; ++i) count *= x.shape()[i];
  return {count, m, n, std::min(m, n)};
}

void require(lapack_int info, const char* what) {
  if (info != 0)
    throw NumericError(str(what, ": no result (info ", info, "); is there a NaN in the matrix?"));
}

}  // namespace

void qr(const Array& x, const Array& q, const Array& r) {
  auto [count, m, n, k] = sizes(x);
  if (count == 0 || k == 0) return;
  blas::setup();
  auto rows = static_cast<lapack_int>(n), columns = static_cast<lapack_int>(m),
       rank = static_cast<lapack_int>(k);
  parallel_for(count, 1, [&, m = m, n = n, k = k](int64_t begin, int64_t end) {
    std::vector<double> a(static_cast<size_t>(m * n)), tau(static_cast<size_t>(k));
    for (int64_t i = begin; i < end; ++i) {
      const double* from = static_cast<const double*>(x.raw()) + i * m * n;
      double* to_q = static_cast<double*>(q.raw()) + i * m * k;
      double* to_r = static_cast<double*>(r.raw()) + i * k * n;
      std::copy(from, from + m * n, a.begin());
      require(LAPACKE_dgelqf(LAPACK_COL_MAJOR, rows, columns, a.data(), rows, tau.data()), "qr");
      for (int64_t row = 0; row < k; ++row)
        for (int64_t c = 0; c < n; ++c)
          to_r[row * n + c] = c < row ? 0 : a[static_cast<size_t>(row * n + c)];
      require(LAPACKE_dorglq(LAPACK_COL_MAJOR, rank, columns, rank, a.data(), rows, tau.data()),
              "qr");
      for (int64_t row = 0; row < m; ++row) std::copy_n(a.data() + row * n, k, to_q + row * k);
    }
  });
}

void svd(const Array& x, const Array& u, const Array& s, const Array& vt) {
  auto [count, m, n, k] = sizes(x);
  if (count == 0 || k == 0) return;
  blas::setup();
  auto rows = static_cast<lapack_int>(n), columns = static_cast<lapack_int>(m),
       rank = static_cast<lapack_int>(k);
  parallel_for(count, 1, [&, m = m, n = n, k = k](int64_t begin, int64_t end) {
    std::vector<double> a(static_cast<size_t>(m * n));
    for (int64_t i = begin; i < end; ++i) {
      const double* from = static_cast<const double*>(x.raw()) + i * m * n;
      std::copy(from, from + m * n, a.begin());
      require(LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', rows, columns, a.data(), rows,
                             static_cast<double*>(s.raw()) + i * k,
                             static_cast<double*>(vt.raw()) + i * k * n, rows,
                             static_cast<double*>(u.raw()) + i * m * k, rank),
              "svd");
    }
  });
}

}  // namespace heed::kernels::common
