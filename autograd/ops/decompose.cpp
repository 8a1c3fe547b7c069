#include <heed/autograd/ops/decompose.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/backends/decompose.h>
#include <heed/core/error.h>
#include <heed/core/memory.h>

namespace heed {

namespace {

// x in double and contiguous.
Array operand(const char* op, const Tensor& x) {
  require_floating(op, x.array());
  if (x.rank() < 2) throw ShapeError(str(op, ": a matrix [.., M, N] expected, got ", x.shape()));
  if (grad_enabled() && x.requires_grad())
    throw GradError(str(op, ": has no gradient; detach the operand, or call it under NoGrad"));
  return packed(cast(x.detach(), DType::f64).array());
}

Array result(const Array& x, int64_t rows, int64_t columns) {
  Shape shape = x.shape();
  shape[x.rank() - 2] = rows;
  shape[x.rank() - 1] = columns;
  return x.new_zeros(shape);
}

}  // namespace

QR qr(const Tensor& x) {
  OpName scope("qr");
  Array a = operand("qr", x);
  int64_t m = a.dim(-2), n = a.dim(-1), k = std::min(m, n);
  Array q = result(a, m, k), r = result(a, k, n);
  kernels::qr(a, q, r);
  return {cast(Tensor(q), x.dtype()), cast(Tensor(r), x.dtype())};
}

SVD svd(const Tensor& x) {
  OpName scope("svd");
  Array a = operand("svd", x);
  int64_t m = a.dim(-2), n = a.dim(-1), k = std::min(m, n);
  Array u = result(a, m, k), s = result(a, 1, k), vt = result(a, k, n);
  kernels::svd(a, u, s, vt);
  return {cast(Tensor(u), x.dtype()), cast(Tensor(s), x.dtype()), cast(Tensor(vt), x.dtype())};
}

}  // namespace heed
