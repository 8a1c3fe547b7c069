#include <heed/autograd/ops/decompose.h>

#include <algorithm>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/decompose.h>
#include <heed/core/error.h>

namespace heed {

namespace {

// A matrix per batch index, in double, of which kernels know nothing else.
struct Matrices {
  Array x;  // [.., M, N], contiguous
  int64_t m, n, k;

  Matrices(const char* op, const Array& stored) {
    require_floating(op, stored);
    if (stored.rank() < 2)
      throw ShapeError(str(op, ": a matrix [.., M, N] expected, got ", stored.shape()));
    NoGrad guard;
    x = packed(cast(Tensor(stored), DType::f64).array());
    m = x.dim(-2), n = x.dim(-1), k = std::min(m, n);
  }
  Array result(int64_t rows, int64_t columns) const {
    Shape shape = x.shape();
    shape[x.rank() - 2] = rows;
    shape[x.rank() - 1] = columns;
    return x.new_zeros(shape);
  }
};

// The results in the operand's dtype.
template <class... T>
std::array<Array, sizeof...(T)> rounded_to(DType dtype, const T&... results) {
  NoGrad guard;
  return {cast(Tensor(results), dtype).array()...};
}

struct Qr {
  static constexpr const char* name = "qr";

  std::array<Array, 2> forward(Inputs in) {
    Matrices a(name, in[0]);
    Array q = a.result(a.m, a.k), r = a.result(a.k, a.n);
    kernels::qr(a.x, q, r);
    return rounded_to(in[0].dtype(), q, r);
  }
};

struct Svd {
  static constexpr const char* name = "svd";

  std::array<Array, 3> forward(Inputs in) {
    Matrices a(name, in[0]);
    Array u = a.result(a.m, a.k), s = a.result(1, a.k), vt = a.result(a.k, a.n);
    kernels::svd(a.x, u, s, vt);
    return rounded_to(in[0].dtype(), u, s, vt);
  }
};

}  // namespace

QR qr(const Tensor& x) {
  auto [q, r] = apply(Qr{}, x);
  return {q, r};
}

SVD svd(const Tensor& x) {
  auto [u, s, vt] = apply(Svd{}, x);
  return {u, s, vt};
}

}  // namespace heed
