#include <heed/autograd/ops/attention.h>

#include <algorithm>
#include <cstdlib>
#include <utility>
#include <vector>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tape.h>
#include <heed/backends/attention.h>
#include <heed/backends/copy.h>

namespace heed {
namespace {

constexpr int64_t kUnlimited = int64_t{1} << 42;

// Kernels read the last axis as it lies.
Array with_dense_rows(const Array& x) {
  return x.strides()[3] == 1 || x.dim(3) <= 1 ? x : packed(x);
}

// Memory in x's order of heads and positions: the gradient of a permuted view then permutes back
// without a copy.
Array empty_like(const Array& x) {
  bool positions_first = x.strides()[1] < x.strides()[2];
  if (!positions_first) return Array::empty(x.shape(), x.dtype());
  return Array::empty({x.dim(0), x.dim(2), x.dim(1), x.dim(3)}, x.dtype()).permute({0, 2, 1, 3});
}

Array row_values(const Tensor& values) {
  return values.defined() ? packed(values.array()) : Array();
}

// The bucket of each relative position that occurs, up to where buckets no longer change.
Array relative_index(const AttentionTerms& terms, int64_t buckets, int64_t t, int64_t s) {
  int64_t reach = t + s;
  if (terms.offset.defined())
    for (double offset : terms.offset.to_vector())
      reach = std::max(reach, t + s + std::abs(static_cast<int64_t>(offset)));
  reach = std::min(reach, terms.relative_max_distance);
  Array index = Array::empty({2 * reach + 1}, DType::i64);
  for (int64_t r = -reach; r <= reach; ++r)
    index.data<int64_t>()[r + reach] =
        relative_bucket(r, terms.relative_bidirectional, buckets, terms.relative_max_distance);
  return index;
}

enum { kQuery, kKey, kValue, kTable, kBias };  // the op's inputs

struct FusedAttention {
  static constexpr const char* name = "attention";
  static constexpr unsigned saves = kAllInputs | kOutput;
  AttentionTerms terms;  // without the two that are inputs
  FusedAttentionOptions options;
  bool has_table, has_bias;
  Array lse;  // [B, H, T]: log sum exp of each row, all that backward needs of the map

  Array forward(Inputs in) {
    AttentionProblem p = problem(in.tensor(kQuery), in.tensor(kKey), in.tensor(kValue),
                                 in.tensor(kTable), in.tensor(kBias));
    int64_t b = p.q.dim(0), h = p.q.dim(1), t = p.q.dim(2);
    lse = Array::empty({b, h, t}, p.q.dtype());
    Array out = Array::empty({b, t, h, p.v.dim(3)}, p.q.dtype()).permute({0, 2, 1, 3});
    kernels::attention_forward(p, out, lse);
    return out;
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return v.by_reference([this](const std::vector<Tensor>& in) {
        AttentionTerms all = terms;
        all.relative_bias = in[kTable];
        all.bias = in[kBias];
        return fused_attention_reference(in[kQuery], in[kKey], in[kValue], all, options);
      });
    Tensor table = has_table ? v.input(kTable) : Tensor();
    Tensor bias = has_bias ? v.input(kBias) : Tensor();
    AttentionProblem p = problem(v.input(kQuery), v.input(kKey), v.input(kValue), table, bias);
    AttentionGradients g;
    if (v.needs(kQuery)) g.q = empty_like(p.q);
    if (v.needs(kKey)) g.k = empty_like(p.k);
    if (v.needs(kValue)) g.v = empty_like(p.v);
    if (v.needs(kTable)) g.relative_table = Array::empty(v.shape(kTable), p.q.dtype());
    if (v.needs(kBias)) {
      Shape shape = v.shape(kBias);
      while (shape.rank() < 4) shape.insert(0, 1);
      g.bias = Array::zeros(shape, p.q.dtype());
    }
    kernels::attention_backward(p, v.output().array(), lse, with_dense_rows(v.cotangent().array()),
                                g);
    if (g.q.defined()) v.add(kQuery, Tensor(g.q));
    if (g.k.defined()) v.add(kKey, Tensor(g.k));
    if (g.v.defined()) v.add(kValue, Tensor(g.v));
    if (g.relative_table.defined()) v.add(kTable, Tensor(g.relative_table));
    if (g.bias.defined()) v.add(kBias, Tensor(g.bias.view(v.shape(kBias))));
  }

  AttentionProblem problem(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& table,
                           const Tensor& bias) {
    AttentionProblem p;
    p.q = with_dense_rows(q.array());
    p.k = with_dense_rows(k.array());
    p.v = with_dense_rows(v.array());
    int64_t t = q.dim(2), s = k.dim(2);
    Shape map{q.dim(0), q.dim(1), t, s};
    p.key_begin = row_values(terms.key_begin);
    p.key_end = row_values(terms.key_end);
    p.query_begin = row_values(terms.query_begin);
    p.query_end = row_values(terms.query_end);
    p.offset = row_values(terms.offset);
    p.lowest = terms.window_left >= 0 ? -std::min(terms.window_left, kUnlimited) : -kUnlimited;
    p.highest = terms.window_right >= 0 ? std::min(terms.window_right, kUnlimited) : kUnlimited;
    if (terms.causal) p.highest = std::min<int64_t>(p.highest, 0);
    if (terms.alibi_slopes.defined()) {
      p.alibi_slopes = Array::empty(terms.alibi_slopes.shape(), DType::f64);
      kernels::copy(terms.alibi_slopes.array(), p.alibi_slopes);
    }
    if (table.defined()) {
      p.relative_table = packed(table.array());
      p.relative_index = relative_index(terms, table.dim(1), t, s);
    }
    if (terms.pair_mask.defined()) p.pair_mask = terms.pair_mask.array().broadcast_to(map);
    if (bias.defined()) p.bias = bias.array().broadcast_to(map);
    p.scale = options.scale;
    p.dropout = options.dropout;
    p.key = options.key;
    return p;
  }
};

}  // namespace

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionTerms& terms, const FusedAttentionOptions& options) {
  check_attention(q, k, v, terms, options);
  FusedAttention op{terms, options, terms.relative_bias.defined(), terms.bias.defined(), Array()};
  op.terms.relative_bias = op.terms.bias = Tensor();
  return apply(std::move(op), q, k, v, terms.relative_bias, terms.bias);
}

}  // namespace heed
