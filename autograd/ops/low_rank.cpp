#include <heed/autograd/ops/low_rank.h>

#include <algorithm>

#include <heed/autograd/ops/decompose.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/core/error.h>

namespace heed {

namespace {

Tensor transposed(const Tensor& x) { return transpose(x, -1, -2); }

// matmul(a^T, b): [.., N, I] x [.., N, J] -> [.., I, J]
Tensor inner(const Tensor& a, const Tensor& b) { return matmul(transposed(a), b); }

struct LowRankLogits {
  static constexpr const char* name = "low_rank_logits";
  static constexpr unsigned saves = 0b11;
  LowRankOptions options;
  Tensor u, v;  // [.., T, P], [.., S, P]: all singular vectors of q k^T, P = min(T, S, D)
  Tensor s;     // [.., 1, P], f64

  // q_r [.., T, r], k_r [.., S, r]
  std::array<Array, 2> forward(Inputs in) {
    NoGrad guard;
    DType dtype = in[0].dtype();
    auto [basis_q, rq] = qr(cast(Tensor(in[0]), DType::f64));
    auto [basis_k, rk] = qr(cast(Tensor(in[1]), DType::f64));
    SVD core = svd(matmul(rq, transposed(rk)));  // of [.., min(T, D), min(S, D)]
    s = core.s;
    Tensor left = matmul(basis_q, core.u), right = matmul(basis_k, transposed(core.vt));
    u = cast(left, accumulate_dtype(dtype));   // [.., T, P]
    v = cast(right, accumulate_dtype(dtype));  // [.., S, P]
    return {cast(kept(left) * kept(s), dtype).array(), clone(cast(kept(v), dtype)).array()};
  }

  Tensor kept(const Tensor& x) const { return slice(x, -1, 0, options.rank); }
  Tensor dropped(const Tensor& x) const { return slice(x, -1, options.rank, x.dim(-1)); }

  // The same composed of primitives, for derivatives of any order, with what forward found as
  // constants: (q k^T)_r = q C k^T, where C projects on the eigenvectors of (k^T k)(q^T q) whose
  // eigenvalues s_i^2 are kept, C = (I + sign((k^T k)(q^T q) - m I)) / 2, with m between the kept
  // and the dropped eigenvalues. The sign is computed by X <- X (3 I - X^2) / 2. With
  // N = U_r^T (q k^T)_r V_r, which is S_r here, (q k^T)_r = [(q k^T)_r V_r] [N^-1 U_r^T (q k^T)_r].
  std::array<Tensor, 2> composed(const Tensor& q, const Tensor& k) const {
    int64_t d = q.dim(-1), r = options.rank;
    Tensor u0 = cast(kept(u), DType::f64), v0 = cast(kept(v), DType::f64), s0 = kept(s);
    Tensor one = s.new_eye(d), c = one;
    if (r < d) {
      Tensor last = square(slice(s, -1, r - 1, r)), top = square(slice(s, -1, 0, 1));
      Tensor next = s.dim(-1) > r ? square(slice(s, -1, r, r + 1)) : last * 0.0;
      Tensor m = (last + next) * 0.5;  // [.., 1, 1]
      Tensor size = maximum(m, top - m);
      size = where(greater(size, 0.0), size, 1.0);
      Tensor x = (matmul(inner(k, k), inner(q, q)) - m * one) / size;  // [.., D, D]
      for (int i = 0; i < 60; ++i) x = x * 1.5 - matmul(x, matmul(x, x)) * 0.5;
      c = (one + x) * 0.5;
    }
    Tensor left = matmul(q, matmul(c, inner(k, v0)));  // L_r V_r [.., T, r]
    Tensor right = matmul(k, inner(c, inner(q, u0)));  // L_r^T U_r [.., S, r]
    Tensor n = inner(u0, left);                        // [.., r, r]
    Tensor y = s.new_eye(r) * inverse_of(s0);          // N^-1 at this point
    for (int i = 0; i < 2; ++i) y = matmul(y, 2.0 * s.new_eye(r) - matmul(n, y));
    return {left, matmul(right, transposed(y))};  // [.., T, r], [.., S, r]
  }

  // 1 / s, and 0 where s is negligible against the largest.
  Tensor inverse_of(const Tensor& values) const {
    Tensor real = greater(values, slice(s, -1, 0, 1) * 1e-12);
    return where(real, 1.0 / where(real, values, 1.0), 0.0);
  }

  // With G = d L_r, the cotangents are G V_r and G^T U_r S_r. From L = q k^T: dq = dL k and
  // dk = dL^T q, where, in the basis of singular vectors (i kept, j dropped),
  //   dL_ij = (s_i^2 G_ij + s_i s_j G_ji) / (s_i^2 - s_j^2)     and dL_ji likewise, dL_jj' = 0.
  // That is U_r U_r^T G + G V_r V_r^T - U_r U_r^T G V_r V_r^T plus a rest that decreases with s_j.
  void vjp(Vjp& v_) {
    if (v_.create_graph())
      return by_reference(v_, [this](const std::vector<Tensor>& in) {
        auto [left, right] = composed(cast(in[0], DType::f64), cast(in[1], DType::f64));
        return std::array{cast(left, in[0].dtype()), cast(right, in[0].dtype())};
      });
    Tensor q = widened(v_.input(0)), k = widened(v_.input(1));
    auto add = [&](int i, const Tensor& dx) { v_.add(i, cast(dx, v_.dtype(i))); };
    Tensor gv = widened(v_.cotangent_or_zeros(0));                  // G V_r [.., T, r]
    Tensor gu = widened(v_.cotangent_or_zeros(1));                  // G^T U_r S_r [.., S, r]
    Tensor largest = slice(s, -1, 0, 1);                            // [.., 1, 1]
    Tensor sigma = s / where(greater(largest, 0.0), largest, 1.0);  // [.., 1, P]
    gu = gu * cast(inverse_of(kept(s)), q.dtype());                 // G^T U_r [.., S, r]
    Tensor ur = kept(u), vr = kept(v);
    Tensor vk = inner(vr, k), uq = inner(ur, q);  // V_r^T k, U_r^T q [.., r, D]
    // `composed` fixes the rotation within the kept space, which matters for the cotangents of
    // second derivatives: G V_r is as given, and the part of G^T U_r within that space follows from
    // it.
    gu = gu + matmul(vr, inner(gv, ur) - inner(vr, gu));
    if (options.projected) {
      add(0, matmul(gv, vk));
      add(1, matmul(gu, uq));
      return;
    }
    Tensor both = inner(ur, gv);  // U_r^T G V_r [.., r, r]
    Tensor dq = matmul(gv - matmul(ur, both), vk) + matmul(ur, inner(gu, k));
    Tensor dk = matmul(gu - matmul(vr, transposed(both)), uq) + matmul(vr, inner(gv, q));
    if (u.dim(-1) > options.rank) {
      Tensor ud = dropped(u), vd = dropped(v);
      Tensor x = inner(gu, vd);                                  // G_ij [.., r, d]
      Tensor y = transposed(inner(ud, gv));                      // G_ji as [.., r, d]
      Tensor si = transposed(kept(sigma)), sj = dropped(sigma);  // [.., r, 1], [.., 1, d]
      Tensor gap = si * si - sj * sj;
      gap = maximum(gap, gap.new_full({}, LowRankOptions::kGap));
      Tensor own = cast(sj * sj / gap, q.dtype()), cross = cast(si * sj / gap, q.dtype());
      Tensor ij = own * x + cross * y, ji = own * y + cross * x;  // [.., r, d]
      dq = dq + matmul(ur, matmul(ij, inner(vd, k))) + matmul(ud, inner(ji, vk));
      dk = dk + matmul(vd, inner(ij, uq)) + matmul(vr, matmul(ji, inner(ud, q)));
    }
    add(0, dq);
    add(1, dk);
  }
};

}  // namespace

LogitFactors low_rank_logits(const Tensor& q, const Tensor& k, const LowRankOptions& options) {
  const char* op = LowRankLogits::name;
  require_floating(op, q.array());
  bool good = q.rank() >= 2 && q.rank() == k.rank() && q.dim(-1) == k.dim(-1);
  for (int i = 0; good && i < q.rank() - 2; ++i) good = q.dim(i) == k.dim(i);
  if (!good)
    throw ShapeError(
        str(op, ": q [.., T, D] and k [.., S, D] expected, got ", q.shape(), " and ", k.shape()));
  if (q.dtype() != k.dtype())
    throw DTypeError(str(op, ": one dtype expected, got ", q.dtype(), " and ", k.dtype()));
  int64_t most = std::min({q.dim(-2), k.dim(-2), q.dim(-1)});
  if (options.rank < 1 || options.rank > most)
    throw ValueError(str(op, ": rank ", options.rank, " is outside [1, ", most, "], for q ",
                         q.shape(), " and k ", k.shape()));
  auto [q_r, k_r] = apply(LowRankLogits{options, {}, {}, {}}, q, k);
  return {q_r, k_r};
}

}  // namespace heed
