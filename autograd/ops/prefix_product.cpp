#include <heed/autograd/ops/prefix_product.h>

#include <algorithm>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/matmul.h>
#include <heed/core/plan.h>

namespace heed {

namespace {

// bool [rows, rows]: which pairs of one chunk meet.
Tensor triangle(int64_t rows, bool reverse, Device device) {
  Array keep = Array::empty({rows, rows}, DType::boolean, kCpu);
  bool* out = keep.data<bool>();
  for (int64_t i = 0; i < rows; ++i)
    for (int64_t j = 0; j < rows; ++j) *out++ = reverse ? j >= i : j <= i;
  return Tensor(plan_on(keep, device));
}

Shape batch_of(const Array& x) { return Shape(x.shape().begin(), x.rank() - 2); }

Shape with(Shape batch, int64_t rows, int64_t columns) {
  batch.push_back(rows);
  batch.push_back(columns);
  return batch;
}

void require(const char* what, const Array& x, int64_t rows, int64_t columns, DType dtype) {
  require_floating("prefix_product", x);
  if (x.dtype() != dtype)
    throw DTypeError(
        str("prefix_product: one dtype expected, q is ", dtype, ", ", what, " is ", x.dtype()));
  if (x.rank() < 2 || x.dim(-2) != rows || (columns >= 0 && x.dim(-1) != columns))
    throw ShapeError(str("prefix_product: ", what, " [.., ", rows, ", ",
                         columns < 0 ? std::string("E") : str(columns), "] expected, got ",
                         x.shape()));
}

struct PrefixProduct {
  static constexpr const char* name = "prefix_product";
  static constexpr unsigned saves = 0b11111 | kOutput;
  bool reverse;

  static Shape shape(Inputs in) {
    const Array& q = in[0];
    require_floating(name, q);
    if (q.rank() < 2)
      throw ShapeError(str("prefix_product: q [.., N, R] expected, got ", q.shape()));
    require("k", in[1], q.dim(-2), q.dim(-1), q.dtype());
    require("v", in[2], q.dim(-2), -1, q.dtype());
    Shape batch = broadcast(batch_of(q), broadcast(batch_of(in[1]), batch_of(in[2]), name), name);
    if (in.tensor(3).defined() != in.tensor(4).defined())
      throw ValueError("prefix_product: alpha and beta come together");
    for (int i : {3, 4}) {
      if (!in.tensor(i).defined()) continue;
      require(i == 3 ? "alpha" : "beta", in[i], q.dim(-2), 1, q.dtype());
      batch = broadcast(batch, batch_of(in[i]), name);
    }
    return with(batch, q.dim(-2), in[2].dim(-1));
  }

  Array forward(Inputs in) {
    Shape out_shape = shape(in);
    NoGrad guard;
    // Sums over all positions: bf16 is computed in f32.
    const DType own = in[0].dtype();
    Array out = in[0].new_zeros(out_shape, accumulate_dtype(own));
    if (out.numel() == 0) return cast(Tensor(out), own).array();
    auto operand = [&](int i) { return widened(Tensor(in[i])); };
    Tensor q = operand(0), k = operand(1), v = operand(2), alpha, beta;
    bool weighted = in.tensor(3).defined();
    if (weighted) alpha = operand(3), beta = operand(4);
    int64_t rows = q.dim(-2), chunks = (rows + kPrefixChunk - 1) / kPrefixChunk;
    Tensor keep = triangle(std::min(rows, kPrefixChunk), reverse, in[0].device());
    Tensor state, top;  // sum of exp(beta - top) k v^T over the chunks before: [.., R, E]
    for (int64_t c = 0; c < chunks; ++c) {
      int64_t begin = (reverse ? chunks - 1 - c : c) * kPrefixChunk;
      int64_t end = std::min(begin + kPrefixChunk, rows), n = end - begin;
      auto part = [&](const Tensor& x) { return x.slice(-2, begin, end); };
      Tensor qc = part(q), kc = part(k), vc = part(v), ac, bc;
      Tensor visible = keep.slice(0, 0, n).slice(1, 0, n);
      Tensor scores = matmul(qc, kc.transpose(-1, -2));  // [.., n, n]
      if (weighted) {
        ac = part(alpha), bc = part(beta);
        scores = scores * exp(ac + bc.transpose(-1, -2));
      }
      // Selected, not multiplied: the entries above the diagonal may be infinite.
      scores = where(visible, scores, 0.0);
      Array place = out.slice(out.rank() - 2, begin, end);
      write(scores, vc, place, 0);
      if (state.defined()) {
        // exp(alpha_i + top) <= 1: top is the beta of a pair that meets.
        if (weighted) write(qc * exp(ac + top), state, place, 1);
        else write(qc, state, place, 1);
      }
      if (c + 1 == chunks) break;
      Tensor key_t = kc.transpose(-1, -2);  // [.., R, n]
      if (!weighted) {
        if (state.defined()) write(key_t, vc, state.array(), 1);
        else state = matmul(key_t, vc);  // [.., R, E]
        continue;
      }
      Tensor higher = max(bc, -2, true);  // [.., 1, 1]
      if (state.defined()) higher = maximum(higher, top);
      Tensor fresh = matmul(key_t, vc * exp(bc - higher));  // [.., R, E]
      state = state.defined() ? state * exp(top - higher) + fresh : fresh;
      top = higher;
    }
    return cast(Tensor(out), own).array();
  }

  // out = a b + beta out, batch axes broadcast.
  static void write(const Tensor& a, const Tensor& b, const Array& out, double beta) {
    Shape batch = batch_of(out);
    kernels::matmul(a.array().broadcast_to(with(batch, a.dim(-2), a.dim(-1))),
                    b.array().broadcast_to(with(batch, b.dim(-2), b.dim(-1))), out, beta);
    FlopCounter::add(2 * out.numel() * a.dim(-1));
  }

  // With w_ij = exp(alpha_i + beta_j), each gradient is a product of the same kind:
  //   dq_i = sum_{j<=i} w_ij (g_i . v_j) k_j      dk_j = sum_{i>=j} w_ij (v_j . g_i) q_i
  //   dv_j = sum_{i>=j} w_ij (k_j . q_i) g_i      dalpha_i = g_i . y_i    dbeta_j = v_j . dv_j
  void vjp(Vjp& v) {
    auto input = [&](int i) { return widened(v.input(i)); };
    auto add = [&](int i, const Tensor& dx) { v.add(i, cast(sum_to(dx, v.shape(i)), v.dtype(i))); };
    Tensor q = input(0), k = input(1), x = input(2), g = widened(v.cotangent());
    bool weighted = v.shape(3).rank() > 0;
    Tensor alpha, beta;
    if (weighted) alpha = input(3), beta = input(4);
    if (v.needs(0)) add(0, prefix_product(g, x, k, alpha, beta, reverse));
    if (v.needs(1)) add(1, prefix_product(x, g, q, beta, alpha, !reverse));
    bool for_beta = weighted && v.needs(4);
    if (v.needs(2) || for_beta) {
      Tensor dv = prefix_product(k, q, g, beta, alpha, !reverse);
      if (v.needs(2)) add(2, dv);
      if (for_beta) add(4, sum(dv * x, {-1}, true));
    }
    if (weighted && v.needs(3)) {
      // y is computed again if bf16 has rounded it.
      bool again = v.dtype(0) == DType::bf16;
      Tensor y = again ? prefix_product(q, k, x, alpha, beta, reverse) : v.output();
      add(3, sum(g * y, {-1}, true));
    }
  }
};

}  // namespace

Tensor prefix_product(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& alpha,
                      const Tensor& beta, bool reverse) {
  return apply(PrefixProduct{reverse}, q, k, v, alpha, beta);
}

Tensor prefix_product_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                const Tensor& alpha, const Tensor& beta, bool reverse) {
  Tensor visible = triangle(q.dim(-2), reverse, q.device());
  Tensor scores = where(visible, matmul(q, k.transpose(-1, -2)), 0.0);  // [.., N, N]
  if (alpha.defined()) scores = scores * exp(where(visible, alpha + beta.transpose(-1, -2), 0.0));
  return matmul(scores, v);
}

}  // namespace heed
