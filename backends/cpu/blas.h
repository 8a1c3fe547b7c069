// The one include of cblas and LAPACKE. OpenBLAS is used as a single-threaded library: heed divides
// the work and calls it inside its own tasks, since a second pool of spinning threads costs more
// than it gains.
#pragma once

#include <cblas.h>
#include <lapacke.h>

#include <cstdint>
#include <string>

#include <heed/backends/kernel.h>

namespace heed::blas {

// Once per process: corrects OpenBLAS's choice of kernels and makes it single-threaded. See
// common/blas_setup.cpp.
void setup();
std::string core_name();  // of OpenBLAS's kernels

// What setup() does about the choice: where core() names kernels below `possible`, restart(name)
// with better ones; nothing where OPENBLAS_CORETYPE is set or core() is not known.
void mend_core(std::string (*core)(), void (*restart)(const char* name), IsaLevel possible);

// C = A B + beta C, row-major with leading dimensions; `ta`, `tb`: the operand is stored
// transposed. Single-threaded; may be called from inside parallel pieces.
inline void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a,
                 int64_t lda, const float* b, int64_t ldb, float beta, float* c, int64_t ldc) {
  cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha, a,
              static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
}
inline void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
                 int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
              static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), alpha, a,
              static_cast<int>(lda), b, static_cast<int>(ldb), beta, c, static_cast<int>(ldc));
}

}  // namespace heed::blas
