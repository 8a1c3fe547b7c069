#include <heed/autograd/ops/attention.h>

#include <array>
#include <utility>
#include <vector>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention_problem.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/attention.h>

namespace heed {
namespace {

enum { kQuery, kKey, kValue, kTable, kBias };  // the op's inputs
enum { kOut, kLse, kExact };                   // and outputs

struct FusedAttention {
  static constexpr const char* name = "attention";
  static constexpr unsigned saves =
      kAllInputs | output_bit(kOut) | output_bit(kLse) | output_bit(kExact);
  static constexpr unsigned minus_inf = output_bit(kLse);  // of a row without a visible key
  AttentionTerms terms;                                    // without the two that are inputs
  FusedAttentionOptions options;
  bool has_table, has_bias;

  // [B, H, T, E]; the log-sum-exp of each row [B, H, T], which is all of the map that backward
  // needs; for bf16, the result before rounding, from which backward computes D.
  std::array<Array, 3> forward(Inputs in) {
    AttentionProblem p = problem(in.tensor(kQuery), in.tensor(kKey), in.tensor(kValue),
                                 in.tensor(kTable), in.tensor(kBias));
    int64_t b = p.q.dim(0), h = p.q.dim(1), t = p.q.dim(2);
    Array lse = p.q.new_empty({b, h, t}, accumulate_dtype(p.q.dtype()));  // f32 for bf16
    Array out = p.q.new_empty({b, t, h, p.v.dim(3)}, lse.dtype()).permute({0, 2, 1, 3});
    kernels::attention_forward(p, out, lse);
    if (FlopCounter::active())
      FlopCounter::add(2 * computed_pairs(terms, p) * (p.q.dim(3) + p.v.dim(3)));
    if (out.dtype() == p.q.dtype()) return {out, lse, Array()};
    return {rounded(out, p.q.dtype()), lse, out};
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        AttentionTerms all = terms;
        all.relative_bias = in[kTable];
        all.bias = in[kBias];
        if (!v.cotangent(kLse).defined())
          return {fused_attention_reference(in[kQuery], in[kKey], in[kValue], all, options)};
        AttentionParts parts =
            fused_attention_parts_reference(in[kQuery], in[kKey], in[kValue], all, options);
        return {parts.out, parts.lse};
      });
    Tensor table = has_table ? v.input(kTable) : Tensor();
    Tensor bias = has_bias ? v.input(kBias) : Tensor();
    AttentionProblem p = problem(v.input(kQuery), v.input(kKey), v.input(kValue), table, bias);
    AttentionGradients g;
    if (v.needs(kQuery)) g.q = gradient_like(p.q);
    if (v.needs(kKey)) g.k = gradient_like(p.k);
    if (v.needs(kValue)) g.v = gradient_like(p.v);
    if (v.needs(kTable)) g.relative_table = p.q.new_empty(v.shape(kTable));
    if (v.needs(kBias)) {
      Shape shape = v.shape(kBias);
      while (shape.rank() < 4) shape.insert(0, 1);
      g.bias = p.q.new_zeros(shape);
    }
    Array lse_cotangent;
    if (v.cotangent(kLse).defined()) lse_cotangent = packed(v.cotangent(kLse).array());
    const Tensor out = v.output(v.saved_output(kExact) ? kExact : kOut);
    kernels::attention_backward(p, out.array(), v.output(kLse).array(),
                                with_dense_rows(v.cotangent_or_zeros(kOut).array()), lse_cotangent,
                                g);
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

AttentionParts run(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
                   const FusedAttentionOptions& options) {
  check_attention(q, k, v, terms, options);
  FusedAttention op{terms, options, terms.relative_bias.defined(), terms.bias.defined()};
  op.terms.relative_bias = op.terms.bias = Tensor();
  auto [out, lse, exact] = apply(std::move(op), q, k, v, terms.relative_bias, terms.bias);
  return {out, lse};
}

}  // namespace

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionTerms& terms, const FusedAttentionOptions& options) {
  return run(q, k, v, terms, options).out;
}

AttentionParts fused_attention_parts(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const AttentionTerms& terms,
                                     const FusedAttentionOptions& options) {
  return run(q, k, v, terms, options);
}

}  // namespace heed
