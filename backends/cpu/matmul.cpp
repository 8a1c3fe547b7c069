#include <heed/backends/matmul.h>

#include <heed/backends/copy.h>
#include <heed/backends/cpu/blas.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A matrix in BLAS's form: one of its strides is 1.
struct Operand {
  bool transposed;
  int64_t leading;
};

Operand describe(const Array& a) {
  int r = a.rank();
  int64_t rows = a.shape()[r - 2], cols = a.shape()[r - 1], row = a.strides()[r - 2],
          col = a.strides()[r - 1];
  if ((col == 1 || cols == 1) && (row >= cols || rows == 1))
    return {false, row > cols ? row : (cols > 0 ? cols : 1)};
  if ((row == 1 || rows == 1) && (col >= rows || cols == 1))
    return {true, col > rows ? col : (rows > 0 ? rows : 1)};
  return {false, 0};
}

Array blas_operand(const Array& a) {
  if (describe(a).leading) return a;
  Array out = Array::empty(a.shape(), a.dtype(), kCpu);
  copy(a, out);
  return out;
}

template <class T>
void gemm(const Operand& oa, const T* a, const Operand& ob, const T* b, T* c, int64_t ldc,
          int64_t m, int64_t n, int64_t k, double beta) {
  if (m > 0 && n > 0)
    blas::gemm(oa.transposed, ob.transposed, m, n, k, T(1), a, oa.leading, b, ob.leading, T(beta),
               c, ldc);
}

// One product, with its rows or columns divided among the threads.
template <class T>
void run_single(const Array& a, const Array& b, const Array& out, double beta) {
  Operand oa = describe(a), ob = describe(b);
  const T *pa = a.data<T>(), *pb = b.data<T>();
  T* pc = out.data<T>();
  int64_t m = a.shape()[0], k = a.shape()[1], n = b.shape()[1], ldc = m > 1 ? out.strides()[0] : n;
  constexpr int64_t kUnit = 16;           // pieces start at multiples of the kernels' tile
  constexpr int64_t kSmallest = 1 << 18;  // multiply-adds that justify a second thread
  auto grain = [&](int64_t other) { return 1 + kSmallest / (kUnit * other * (k + 1) + 1); };
  if (m >= n) {
    parallel_for((m + kUnit - 1) / kUnit, grain(n), [&](int64_t begin, int64_t end) {
      int64_t r0 = begin * kUnit, r1 = end * kUnit < m ? end * kUnit : m;
      gemm(oa, pa + (oa.transposed ? r0 : r0 * oa.leading), ob, pb, pc + r0 * ldc, ldc, r1 - r0, n,
           k, beta);
    });
  } else {
    parallel_for((n + kUnit - 1) / kUnit, grain(m), [&](int64_t begin, int64_t end) {
      int64_t c0 = begin * kUnit, c1 = end * kUnit < n ? end * kUnit : n;
      gemm(oa, pa, ob, pb + (ob.transposed ? c0 * ob.leading : c0), pc + c0, ldc, m, c1 - c0, k,
           beta);
    });
  }
}

int64_t batch_offset(const Array& a, int64_t index) {
  int64_t offset = 0;
  for (int i = a.rank() - 3; i >= 0; --i) {
    offset += index % a.shape()[i] * a.strides()[i];
    index /= a.shape()[i];
  }
  return offset;
}

template <class T>
void run_batched(const Array& a, const Array& b, const Array& out, double beta) {
  Operand oa = describe(a), ob = describe(b);
  int r = out.rank();
  int64_t m = a.shape()[r - 2], k = a.shape()[r - 1], n = b.shape()[r - 1];
  int64_t ldc = m > 1 ? out.strides()[r - 2] : n, batch = 1;
  for (int i = 0; i < r - 2; ++i) batch *= out.shape()[i];
  parallel_for(batch, 1 + (1 << 18) / (m * n * k + 1), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      gemm(oa, a.data<T>() + batch_offset(a, i), ob, b.data<T>() + batch_offset(b, i),
           out.data<T>() + batch_offset(out, i), ldc, m, n, k, beta);
  });
}

bool is_broadcast(const Array& b) {
  for (int i = 0; i < b.rank() - 2; ++i)
    if (b.shape()[i] != 1 && b.strides()[i] != 0) return false;
  return true;
}

Array last_matrix(const Array& b) {
  int r = b.rank();
  return b.with({b.shape()[r - 2], b.shape()[r - 1]}, {b.strides()[r - 2], b.strides()[r - 1]});
}

template <class T>
void run(const Array& a, const Array& b, const Array& out, double beta) {
  int r = out.rank();
  if (r == 2) return run_single<T>(a, b, out, beta);
  // The rows of all batches in one product if they share b.
  int64_t rows = out.numel() / (out.shape()[r - 1] ? out.shape()[r - 1] : 1);
  Shape flat_a{rows, a.shape()[r - 1]}, flat_out{rows, out.shape()[r - 1]};
  if (is_broadcast(b) && out.numel() > 0 && a.can_view(flat_a) && out.can_view(flat_out) &&
      describe(a.view(flat_a)).leading)
    return run_single<T>(a.view(flat_a), last_matrix(b), out.view(flat_out), beta);
  run_batched<T>(a, b, out, beta);
}

}  // namespace

void matmul(const Array& a, const Array& b, const Array& out, double beta) {
  if (out.numel() == 0) return;
  if (a.shape()[a.rank() - 1] == 0) {
    if (beta == 0) fill(out, 0);
    return;
  }
  blas::setup();
  const Array* results[] = {&out};
  common::in_f32(results, 1, beta != 0, [&](const Array* wide) {
    dispatch_wide("matmul", wide->dtype(), [&](auto type) {
      using T = decltype(type);
      run<T>(blas_operand(common::widened(a)), blas_operand(common::widened(b)), *wide, beta);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
