#include <heed/autograd/ops/matmul.h>

#include <algorithm>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/elementwise.h>
#include <heed/backends/matmul.h>

namespace heed {
namespace {

Shape batch_of(const Shape& s) { return Shape(s.begin(), s.rank() - 2); }

Shape join(Shape batch, int64_t rows, int64_t cols) {
  batch.push_back(rows);
  batch.push_back(cols);
  return batch;
}

void check_operands(const char* op, const Array& a, const Array& b) {
  if (a.dtype() != b.dtype())
    throw DTypeError(
        str(op, ": two operands of one dtype expected, got ", a.dtype(), " and ", b.dtype()));
  require_floating(op, a);
}

// Writes the product directly into the input's gradient if possible; otherwise makes and adds it.
void add_product(Vjp& v, int i, const Array& a, const Array& b) {
  auto [to, accumulate] = v.destination(i);
  kernels::matmul(a, b, to, accumulate ? 1 : 0);
  FlopCounter::add(2 * to.numel() * a.dim(1));
  if (!accumulate) v.add(i, Tensor(to));
}

// A gradient with its operand's memory layout saves a strided copy where the transposition is
// undone. Not where small matrices share the other operand along a batch axis: one product of all
// rows is better then. `work`: multiply-adds of one matrix.
bool lies_transposed(const Array& x, const Array& other, const Array& cotangent, int64_t work) {
  constexpr int64_t kLarge = 1 << 18;  // also what keeps a thread busy (backends/cpu/matmul.cpp)
  if (x.rank() < 3 || cotangent.rank() != x.rank()) return false;
  bool shared = other.rank() != x.rank();
  for (int i = 0; i < x.rank() - 2; ++i) {
    if (x.dim(i) != cotangent.dim(i)) return false;
    shared = shared || x.dim(i) != other.dim(i);
  }
  if (shared && work < kLarge) return false;
  return x.strides()[x.rank() - 2] == 1 && x.dim(-2) > 1 && x.dim(-1) > 1;
}

struct MatMul {
  static constexpr const char* name = "matmul";
  static constexpr unsigned saves = 0b11;

  static Shape shape(const Array& a, const Array& b) {
    check_operands(name, a, b);
    int64_t ka = a.dim(-1), kb = b.dim(-2);
    if (ka != kb)
      throw ShapeError(str("matmul: inner sizes differ: ", a.shape(), " x ", b.shape(), " (", ka,
                           " != ", kb, ")"));
    Shape batch_a = batch_of(a.shape()), batch_b = batch_of(b.shape());
    for (int i = 1; i <= std::min(batch_a.rank(), batch_b.rank()); ++i)
      if (int64_t x = batch_a.dim(-i), y = batch_b.dim(-i); x != y && x != 1 && y != 1)
        throw ShapeError(str("matmul: batch sizes differ: ", a.shape(), " x ", b.shape(), " (", x,
                             " != ", y, ")"));
    return join(broadcast(batch_a, batch_b, name), a.dim(-2), b.dim(-1));
  }

  static Array product(const Array& a, const Array& b) {
    Shape out_shape = shape(a, b), batch = batch_of(out_shape);
    Array out = a.new_empty(out_shape);
    kernels::matmul(a.broadcast_to(join(batch, a.dim(-2), a.dim(-1))),
                    b.broadcast_to(join(batch, b.dim(-2), b.dim(-1))), out, 0);
    FlopCounter::add(2 * out.numel() * a.dim(-1));
    return out;
  }

  Array forward(Inputs in) { return product(in[0], in[1]); }

  void vjp(Vjp& v) {  // C = A B:  dA = dC B^T,  dB = A^T dC
    const Tensor& g = v.cotangent();
    Tensor a = v.input(0), b = v.input(1);
    bool plain = !v.create_graph() && a.rank() == 2 && b.rank() == 2;
    const int64_t work = a.dim(-2) * a.dim(-1) * b.dim(-1);
    if (v.needs(0)) {
      if (plain) add_product(v, 0, g.array(), b.array().transpose(0, 1));
      else if (lies_transposed(a.array(), b.array(), g.array(), work))  // dA^T = B dC^T
        v.add(0, transpose(matmul(b, transpose(g, -1, -2)), -1, -2));
      else v.add(0, sum_to(matmul(g, transpose(b, -1, -2)), v.shape(0)));
    }
    if (v.needs(1)) {
      if (plain) add_product(v, 1, a.array().transpose(0, 1), g.array());
      else if (lies_transposed(b.array(), a.array(), g.array(), work))  // dB^T = dC^T A
        v.add(1, transpose(matmul(transpose(g, -1, -2), a), -1, -2));
      else v.add(1, sum_to(matmul(transpose(a, -1, -2), g), v.shape(1)));
    }
  }
};

Array rows_of(const Array& x, int64_t width) {  // [.., width] -> [N, width]
  Shape flat{Shape(x.shape().begin(), x.rank() - 1).numel(), width};
  return x.can_view(flat) ? x.view(flat) : reshape(Tensor(x), flat).array();
}

struct Linear {
  static constexpr const char* name = "linear";
  static constexpr unsigned saves = 0b011;

  Array forward(Inputs in) {
    const Array &x = in[0], &w = in[1];
    check_operands(name, x, w);
    if (x.rank() < 1 || w.rank() != 2 || x.dim(-1) != w.dim(1))
      throw ShapeError(str("linear: x [.., in] and weight [out, in] expected, got ", x.shape(),
                           " and ", w.shape()));
    bool biased = in.tensor(2).defined();
    if (biased && (in[2].rank() != 1 || in[2].dim(0) != w.dim(0) || in[2].dtype() != w.dtype()))
      throw ShapeError(str("linear: bias [", w.dim(0), "] of ", w.dtype(), " expected, got ",
                           in[2].shape(), " of ", in[2].dtype()));
    Shape out_shape = x.shape();
    out_shape[x.rank() - 1] = w.dim(0);
    Array out = x.new_empty(out_shape);
    Array rows = rows_of(out, w.dim(0));
    kernels::matmul(rows_of(x, w.dim(1)), w.transpose(0, 1), rows, 0);
    FlopCounter::add(2 * rows.numel() * w.dim(1));
    if (biased) kernels::binary(BinaryOp::add, rows, in[2].broadcast_to(rows.shape()), rows);
    return out;
  }

  void vjp(Vjp& v) {  // y = x W^T + b:  dx = dy W,  dW = dy^T x,  db = sum dy
    const Tensor& g = v.cotangent();
    Tensor x = v.input(0), w = v.input(1);
    if (v.create_graph()) {
      Tensor flat_g = reshape(g, {-1, w.dim(0)}), flat_x = reshape(x, {-1, w.dim(1)});
      if (v.needs(0)) v.add(0, reshape(matmul(flat_g, w), v.shape(0)));
      if (v.needs(1)) v.add(1, matmul(transpose(flat_g, 0, 1), flat_x));
      if (v.needs(2)) v.add(2, sum(flat_g, {0}));
      return;
    }
    Array flat_g = rows_of(g.array(), w.dim(0));
    if (v.needs(0)) v.add(0, reshape(matmul(Tensor(flat_g), w), v.shape(0)));
    if (v.needs(1)) add_product(v, 1, flat_g.transpose(0, 1), rows_of(x.array(), w.dim(1)));
    if (v.needs(2)) v.add(2, sum(Tensor(flat_g), {0}));
  }
};

}  // namespace

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.rank() == 0 || b.rank() == 0)
    throw ShapeError(str("matmul: rank 1 or more expected, got ", a.shape(), " x ", b.shape()));
  if (a.rank() == 1) return squeeze(matmul(unsqueeze(a, 0), b), b.rank() == 1 ? 0 : -2);
  if (b.rank() == 1) return squeeze(matmul(a, unsqueeze(b, 1)), -1);
  return apply(MatMul{}, a, b);
}

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias) {
  return apply(Linear{}, x, weight, bias);
}

}  // namespace heed
