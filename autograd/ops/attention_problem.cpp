#include <heed/autograd/ops/attention_problem.h>

#include <algorithm>
#include <cstdlib>

#include <heed/autograd/ops/block_layout.h>
#include <heed/autograd/ops/operand.h>
#include <heed/backends/copy.h>
#include <heed/core/plan.h>

namespace heed {
namespace {

constexpr int64_t kUnlimited = int64_t{1} << 42;

Array row_values(const Lengths& values, Device device) {
  return values.defined() ? values.array(device) : Array();
}

// The bucket of each relative position that occurs, up to where buckets no longer change.
Array relative_index(const AttentionTerms& terms, int64_t buckets, int64_t t, int64_t s) {
  int64_t reach = t + s;
  for (int64_t offset : terms.offset.values()) reach = std::max(reach, t + s + std::abs(offset));
  reach = std::min(reach, terms.relative_max_distance);
  Array index = Array::empty({2 * reach + 1}, DType::i64, kCpu);
  for (int64_t r = -reach; r <= reach; ++r)
    index.data<int64_t>()[r + reach] =
        relative_bucket(r, terms.relative_bidirectional, buckets, terms.relative_max_distance);
  return index;
}

// A new array with x's order of heads and positions in memory, so that the gradient of a permuted
// view can be permuted back without a copy.
Array gradient_like(const Array& x) {
  bool positions_first = x.strides()[1] < x.strides()[2];
  if (!positions_first) return x.new_empty(x.shape());
  return x.new_empty({x.dim(0), x.dim(2), x.dim(1), x.dim(3)}).permute({0, 2, 1, 3});
}

// x in another dtype, laid out in memory as [B, T, H, E] like x.
Array rounded(const Array& x, DType dtype) {
  Shape shape{x.dim(0), x.dim(2), x.dim(1), x.dim(3)};
  Array out = x.new_empty(shape, dtype).permute({0, 2, 1, 3});
  kernels::copy(x, out);
  return out;
}

}  // namespace

Array with_dense_rows(const Array& x) {
  return x.strides()[3] == 1 || x.dim(3) <= 1 ? x : packed(x);
}

AttentionProblem attention_problem(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionTerms& terms,
                                   const FusedAttentionOptions& options) {
  AttentionProblem p;
  p.q = with_dense_rows(q.array());
  p.k = with_dense_rows(k.array());
  p.v = with_dense_rows(v.array());
  const Device device = q.device();
  int64_t t = q.dim(2), s = k.dim(2);
  Shape map{q.dim(0), q.dim(1), t, s};
  p.key_begin = row_values(terms.key_begin, device);
  p.key_end = row_values(terms.key_end, device);
  p.query_begin = row_values(terms.query_begin, device);
  p.query_end = row_values(terms.query_end, device);
  p.offset = row_values(terms.offset, device);
  p.lowest = terms.window_left >= 0 ? -std::min(terms.window_left, kUnlimited) : -kUnlimited;
  p.highest = terms.window_right >= 0 ? std::min(terms.window_right, kUnlimited) : kUnlimited;
  if (terms.causal) p.highest = std::min<int64_t>(p.highest, 0);
  if (terms.alibi_slopes.defined()) {
    p.alibi_slopes = p.q.new_empty(terms.alibi_slopes.shape(), DType::f64);
    kernels::copy(terms.alibi_slopes.array(), p.alibi_slopes);
  }
  if (terms.relative_bias.defined()) {
    p.relative_table = packed(terms.relative_bias.array());
    p.relative_index = plan_on(relative_index(terms, terms.relative_bias.dim(1), t, s), device);
  }
  if (terms.pair_mask.defined()) p.pair_mask = terms.pair_mask.array().broadcast_to(map);
  if (terms.bias.defined()) p.bias = terms.bias.array().broadcast_to(map);
  if (terms.layout) p.blocks = terms.layout->blocks(device);
  p.scale = options.scale;
  p.dropout = options.dropout;
  p.key = options.key;
  return p;
}

FusedAttentionOp::FusedAttentionOp(const AttentionTerms& all, const FusedAttentionOptions& o)
    : terms(all), options(o), has_table(all.relative_bias.defined()), has_bias(all.bias.defined()) {
  terms.relative_bias = terms.bias = Tensor();
}

AttentionTerms FusedAttentionOp::with(const Tensor& table, const Tensor& bias) const {
  AttentionTerms all = terms;
  all.relative_bias = table;
  all.bias = bias;
  return all;
}

AttentionProblem FusedAttentionOp::problem(Inputs in) const {
  return attention_problem(in.tensor(kQuery), in.tensor(kKey), in.tensor(kValue),
                           with(in.tensor(kTable), in.tensor(kBias)), options);
}

AttentionProblem FusedAttentionOp::problem(const Vjp& v) const {
  Tensor table = has_table ? v.input(kTable) : Tensor();
  Tensor bias = has_bias ? v.input(kBias) : Tensor();
  return attention_problem(v.input(kQuery), v.input(kKey), v.input(kValue), with(table, bias),
                           options);
}

AttentionResults::AttentionResults(const AttentionProblem& p) {
  int64_t b = p.q.dim(0), h = p.q.dim(1), t = p.q.dim(2);
  lse = p.q.new_empty({b, h, t}, accumulate_dtype(p.q.dtype()));
  out = p.q.new_empty({b, t, h, p.v.dim(3)}, lse.dtype()).permute({0, 2, 1, 3});
}

std::array<Array, 3> AttentionResults::outputs(DType dtype) const {
  if (out.dtype() == dtype) return {out, lse, Array()};
  return {rounded(out, dtype), lse, out};
}

Tensor exact_output(const Vjp& v) {
  using Op = FusedAttentionOp;
  return v.output(v.saved_output(Op::kExact) ? Op::kExact : Op::kOut);
}

AttentionGradients new_gradients(const Vjp& v, const AttentionProblem& p) {
  using Op = FusedAttentionOp;
  AttentionGradients g;
  if (v.needs(Op::kQuery)) g.q = gradient_like(p.q);
  if (v.needs(Op::kKey)) g.k = gradient_like(p.k);
  if (v.needs(Op::kValue)) g.v = gradient_like(p.v);
  if (v.needs(Op::kTable)) g.relative_table = p.q.new_empty(v.shape(Op::kTable));
  if (v.needs(Op::kBias)) {
    Shape shape = v.shape(Op::kBias);
    while (shape.rank() < 4) shape.insert(0, 1);
    g.bias = p.q.new_zeros(shape);
  }
  return g;
}

void add_gradients(Vjp& v, const AttentionGradients& g) {
  using Op = FusedAttentionOp;
  if (g.q.defined()) v.add(Op::kQuery, Tensor(g.q));
  if (g.k.defined()) v.add(Op::kKey, Tensor(g.k));
  if (g.v.defined()) v.add(Op::kValue, Tensor(g.v));
  if (g.relative_table.defined()) v.add(Op::kTable, Tensor(g.relative_table));
  if (g.bias.defined()) v.add(Op::kBias, Tensor(g.bias.view(v.shape(Op::kBias))));
}

// Keys of block row `i / size` that query i sees within [low, high).
static int64_t pairs_in_blocks(const AttentionBlocks& blocks, int64_t i, int64_t low,
                               int64_t high) {
  const int64_t *rows = blocks.rows.data<int64_t>(), *runs = blocks.runs.data<int64_t>();
  const int64_t* bits = blocks.bits.defined() ? blocks.bits.data<int64_t>() : nullptr;
  int64_t row = i / blocks.size, inside = i % blocks.size, words = (blocks.size + 63) / 64;
  int64_t pairs = 0;
  for (int64_t n = rows[row]; n < rows[row + 1]; ++n) {
    int64_t first = runs[3 * n], word = runs[3 * n + 2];
    int64_t begin = std::max(first, low), end = std::min(runs[3 * n + 1], high);
    if (word < 0) pairs += std::max<int64_t>(0, end - begin);
    else
      for (int64_t j = begin; j < end; ++j)
        pairs += bits[word + (j - first) * words + inside / 64] >> (inside % 64) & 1;
  }
  return pairs;
}

int64_t computed_pairs(const AttentionTerms& terms, const AttentionProblem& p, int64_t most) {
  int64_t batch = p.q.dim(0), t = p.q.dim(2), s = p.k.dim(2), pairs = 0;
  Ranges keys = ranges_of(terms.key_begin, terms.key_end, batch, s);
  Ranges queries = ranges_of(terms.query_begin, terms.query_end, batch, t);
  AttentionBlocks blocks = terms.layout ? terms.layout->blocks(kCpu) : AttentionBlocks();
  for (size_t b = 0; b < keys.begin.size(); ++b) {
    int64_t offset = terms.offset.defined() ? terms.offset.values()[b] : s - t;
    for (int64_t i = queries.begin[b]; i < queries.end[b]; ++i) {
      int64_t low = std::max(keys.begin[b], i + offset + p.lowest);
      int64_t high = std::min(keys.end[b], i + offset + p.highest + 1);
      int64_t seen = std::max<int64_t>(0, high - low);
      if (blocks.size > 0) seen = pairs_in_blocks(blocks, i, low, high);
      pairs += std::min(seen, most);
    }
  }
  return pairs * p.q.dim(1);
}

int64_t backward_flops(int64_t pairs, const AttentionProblem& p, const AttentionGradients& g) {
  int64_t d = p.q.dim(3), e = p.v.dim(3);
  bool scores = g.q.defined() || g.k.defined();
  return 2 * pairs * (d * (1 + g.q.defined() + g.k.defined()) + e * (scores + g.v.defined()));
}

}  // namespace heed
