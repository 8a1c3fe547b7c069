#include <heed/autograd/ops/attention.h>

#include <array>
#include <vector>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention_problem.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/attention.h>

namespace heed {
namespace {

struct FusedAttention : FusedAttentionOp {
  static constexpr const char* name = "attention";

  std::array<Array, 3> forward(Inputs in) {
    AttentionProblem p = problem(in);
    AttentionResults results(p);
    kernels::attention_forward(p, results.out, results.lse);
    if (FlopCounter::active())
      FlopCounter::add(2 * computed_pairs(terms, p) * (p.q.dim(3) + p.v.dim(3)));
    return results.outputs(p.q.dtype());
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [&](const std::vector<Tensor>& in) -> std::vector<Tensor> {
        AttentionTerms all = with(in[kTable], in[kBias]);
        if (!v.cotangent(kLse).defined())
          return {fused_attention_reference(in[kQuery], in[kKey], in[kValue], all, options)};
        AttentionParts parts =
            fused_attention_parts_reference(in[kQuery], in[kKey], in[kValue], all, options);
        return {parts.out, parts.lse};
      });
    AttentionProblem p = problem(v);
    AttentionGradients g = new_gradients(v, p);
    Array lse_cotangent;
    if (v.cotangent(kLse).defined()) lse_cotangent = packed(v.cotangent(kLse).array());
    kernels::attention_backward(p, exact_output(v).array(), v.output(kLse).array(),
                                with_dense_rows(v.cotangent_or_zeros(kOut).array()), lse_cotangent,
                                g);
    if (FlopCounter::active()) FlopCounter::add(backward_flops(computed_pairs(terms, p), p, g));
    add_gradients(v, g);
  }
};

AttentionParts run(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
                   const FusedAttentionOptions& options) {
  check_attention(q, k, v, terms, options);
  auto [out, lse, exact] =
      apply(FusedAttention{{terms, options}}, q, k, v, terms.relative_bias, terms.bias);
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
