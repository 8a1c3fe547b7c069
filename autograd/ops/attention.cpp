#include <heed/autograd/ops/attention.h>

#include <utility>
#include <vector>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention_problem.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/attention.h>
#include <heed/backends/copy.h>

namespace heed {
namespace {

enum { kQuery, kKey, kValue, kTable, kBias };  // the op's inputs

struct FusedAttention {
  static constexpr const char* name = "attention";
  static constexpr unsigned saves = kAllInputs | kOutput;
  AttentionTerms terms;  // without the two that are inputs
  FusedAttentionOptions options;
  bool has_table, has_bias;
  bool with_lse;  // the log-sum-exp is channel E of the result, for an op has one result
  Array lse;      // [B, H, T]: log sum exp of each row, all that backward needs of the map

  Array forward(Inputs in) {
    AttentionProblem p = problem(in.tensor(kQuery), in.tensor(kKey), in.tensor(kValue),
                                 in.tensor(kTable), in.tensor(kBias));
    int64_t b = p.q.dim(0), h = p.q.dim(1), t = p.q.dim(2);
    lse = Array::empty({b, h, t}, p.q.dtype());
    int64_t e = p.v.dim(3), channels = with_lse ? e + 1 : e;
    Array out = Array::empty({b, t, h, channels}, p.q.dtype()).permute({0, 2, 1, 3});
    kernels::attention_forward(p, out.slice(3, 0, e), lse);
    if (with_lse) kernels::copy(lse.view({b, h, t, 1}), out.slice(3, e, e + 1));
    if (FlopCounter::active())
      FlopCounter::add(2 * computed_pairs(terms, p) * (p.q.dim(3) + p.v.dim(3)));
    return out;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return v.by_reference([this](const std::vector<Tensor>& in) {
        AttentionTerms all = terms;
        all.relative_bias = in[kTable];
        all.bias = in[kBias];
        if (!with_lse)
          return fused_attention_reference(in[kQuery], in[kKey], in[kValue], all, options);
        AttentionParts parts =
            fused_attention_parts_reference(in[kQuery], in[kKey], in[kValue], all, options);
        return concat({parts.out, parts.lse.unsqueeze(3)}, 3);
      });
    Tensor table = has_table ? v.input(kTable) : Tensor();
    Tensor bias = has_bias ? v.input(kBias) : Tensor();
    AttentionProblem p = problem(v.input(kQuery), v.input(kKey), v.input(kValue), table, bias);
    AttentionGradients g;
    if (v.needs(kQuery)) g.q = gradient_like(p.q);
    if (v.needs(kKey)) g.k = gradient_like(p.k);
    if (v.needs(kValue)) g.v = gradient_like(p.v);
    if (v.needs(kTable)) g.relative_table = Array::empty(v.shape(kTable), p.q.dtype());
    if (v.needs(kBias)) {
      Shape shape = v.shape(kBias);
      while (shape.rank() < 4) shape.insert(0, 1);
      g.bias = Array::zeros(shape, p.q.dtype());
    }
    Array out = v.output().array(), cotangent = v.cotangent().array(), lse_cotangent;
    if (with_lse) {
      int64_t e = p.v.dim(3);
      lse_cotangent = packed(cotangent.slice(3, e, e + 1)).view(lse.shape());
      out = out.slice(3, 0, e);
      cotangent = cotangent.slice(3, 0, e);
    }
    kernels::attention_backward(p, out, lse, with_dense_rows(cotangent), lse_cotangent, g);
    if (FlopCounter::active()) FlopCounter::add(backward_flops(computed_pairs(terms, p), p, g));
    if (g.q.defined()) v.add(kQuery, Tensor(g.q));
    if (g.k.defined()) v.add(kKey, Tensor(g.k));
    if (g.v.defined()) v.add(kValue, Tensor(g.v));
    if (g.relative_table.defined()) v.add(kTable, Tensor(g.relative_table));
    if (g.bias.defined()) v.add(kBias, Tensor(g.bias.view(v.shape(kBias))));
  }

  AttentionProblem problem(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& table,
                           const Tensor& bias) const {
    AttentionTerms all = terms;
    all.relative_bias = table;
    all.bias = bias;
    return attention_problem(q, k, v, all, options);
  }
};

Tensor run(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
           const FusedAttentionOptions& options, bool with_lse) {
  check_attention(q, k, v, terms, options);
  FusedAttention op{terms,    options, terms.relative_bias.defined(), terms.bias.defined(),
                    with_lse, Array()};
  op.terms.relative_bias = op.terms.bias = Tensor();
  return apply(std::move(op), q, k, v, terms.relative_bias, terms.bias);
}

}  // namespace

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionTerms& terms, const FusedAttentionOptions& options) {
  return run(q, k, v, terms, options, false);
}

AttentionParts fused_attention_parts(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const AttentionTerms& terms,
                                     const FusedAttentionOptions& options) {
  Tensor both = run(q, k, v, terms, options, true);  // [B, H, T, E + 1]
  int64_t e = both.dim(3) - 1;
  return {both.slice(3, 0, e), both.slice(3, e, e + 1).squeeze(3)};
}

}  // namespace heed
