#include <heed/autograd/ops/pairwise_relu.h>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention_problem.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/pairwise_relu.h>

namespace heed {
namespace {

void check(const Array& a, const Array& b, const Array& v) {
  require_floating("pairwise_relu", a);
  if (a.dtype() != b.dtype() || a.dtype() != v.dtype())
    throw DTypeError(str("pairwise_relu: one dtype expected, got a ", a.dtype(), ", b ", b.dtype(),
                         ", v ", v.dtype()));
  if (a.rank() != 3 || b.rank() != 3 || v.rank() != 4)
    throw ShapeError(str("pairwise_relu: a [B, H, T], b [B, H, S] and v [B, Hkv, S, E] expected, ",
                         "got ", a.shape(), ", ", b.shape(), " and ", v.shape()));
  if (b.dim(0) != a.dim(0) || b.dim(1) != a.dim(1))
    throw ShapeError(str("pairwise_relu: b is ", b.shape(), ", [", a.dim(0), ", ", a.dim(1),
                         ", S] expected, as a is ", a.shape()));
  int64_t heads = a.dim(1), kv = v.dim(1);
  if (v.dim(0) != a.dim(0) || v.dim(2) != b.dim(2) ||
      (kv ? heads < kv || heads % kv != 0 : heads != 0))
    throw ShapeError(str("pairwise_relu: v is ", v.shape(), ", [", a.dim(0), ", Hkv, ", b.dim(2),
                         ", E] with Hkv a divisor of ", heads, " expected"));
}

// x [B, H, N, E] to be written, in memory [B, N, H, E].
Array positions_first(const Array& like, const Shape& s) {
  return like.new_empty({s[0], s[2], s[1], s[3]}).permute({0, 2, 1, 3});
}

struct PairwiseRelu {
  static constexpr const char* name = "pairwise_relu";
  static constexpr unsigned saves = 0b111;

  // Multiply-adds with v, of one pass over all keys and queries.
  static int64_t passes(const Array& a, const Array& b, const Array& v) {
    return 2 * a.dim(0) * a.dim(1) * (a.dim(2) + b.dim(2)) * v.dim(3);
  }

  Array forward(Inputs in) {
    const Array &a = in[0], &b = in[1], &v = in[2];
    check(a, b, v);
    Array out = positions_first(v, {a.dim(0), a.dim(1), a.dim(2), v.dim(3)});
    kernels::pairwise_relu(packed(a), packed(b), with_dense_rows(v), out);
    FlopCounter::add(passes(a, b, v));
    return out;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [](const std::vector<Tensor>& in) {
        return pairwise_relu_reference(in[0], in[1], in[2]);
      });
    Array a = packed(v.input(0).array()), b = packed(v.input(1).array());
    Array values = with_dense_rows(v.input(2).array());
    Array da = a.new_empty(a.shape()), db = b.new_empty(b.shape());
    Array dv = positions_first(values, values.shape());
    kernels::pairwise_relu_backward(a, b, values, with_dense_rows(v.cotangent().array()), da, db,
                                    dv);
    FlopCounter::add(2 * passes(a, b, values));
    v.add(0, Tensor(da));
    v.add(1, Tensor(db));
    v.add(2, Tensor(dv));
  }
};

}  // namespace

Tensor pairwise_relu(const Tensor& a, const Tensor& b, const Tensor& v) {
  return apply(PairwiseRelu{}, a, b, v);
}

Tensor pairwise_relu_reference(const Tensor& a, const Tensor& b, const Tensor& v) {
  check(a.array(), b.array(), v.array());
  int64_t batch = v.dim(0), kv = v.dim(1), s = v.dim(2), e = v.dim(3);
  int64_t group = kv ? a.dim(1) / kv : 1;
  Tensor f = relu(a.unsqueeze(3) + b.unsqueeze(2));  // [B, H, T, S]
  Tensor values = broadcast_to(v.unsqueeze(2), {batch, kv, group, s, e});
  return matmul(f, values.reshape({batch, kv * group, s, e}));  // [B, H, T, E]
}

}  // namespace heed
