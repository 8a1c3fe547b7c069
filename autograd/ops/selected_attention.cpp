#include <heed/autograd/ops/selected_attention.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention_problem.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/selected_attention.h>

namespace heed {
namespace {

struct SelectedAttention : FusedAttentionOp {
  static constexpr const char* name = "selected_attention";
  std::optional<double> self_score;
  Tensor index;

  std::array<Array, 3> forward(Inputs in) {
    AttentionProblem p = problem(in);
    AttentionResults results(p);
    kernels::selected_attention_forward(p, selected(), results.out, results.lse);
    if (FlopCounter::active()) FlopCounter::add(2 * listed(p) * (p.q.dim(3) + p.v.dim(3)));
    return results.outputs(p.q.dtype());
  }

  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [this](const std::vector<Tensor>& in) {
        return selected_attention_reference(in[kQuery], in[kKey], in[kValue], index,
                                            with(in[kTable], in[kBias]), {options, self_score});
      });
    AttentionProblem p = problem(v);
    AttentionGradients g = new_gradients(v, p);
    kernels::selected_attention_backward(p, selected(), exact_output(v).array(),
                                         v.output(kLse).array(),
                                         with_dense_rows(v.cotangent(kOut).array()), g);
    if (FlopCounter::active()) FlopCounter::add(backward_flops(listed(p), p, g));
    add_gradients(v, g);
  }

  // What the lists can hold, by their length and the terms: the lists may be on a device.
  int64_t listed(const AttentionProblem& p) const { return computed_pairs(terms, p, index.dim(3)); }
  SelectedKeys selected() const {
    return {index.array(), self_score.has_value(), self_score.value_or(0)};
  }
};

void check_index(const Tensor& index, const Tensor& q, int64_t keys) {
  if (index.dtype() != DType::i32)
    throw DTypeError(str("selected_attention: index is ", index.dtype(), ", i32 expected"));
  if (index.rank() != 4 || index.dim(0) != q.dim(0) || index.dim(1) != q.dim(1) ||
      index.dim(2) != q.dim(2))
    throw ShapeError(str("selected_attention: index is ", index.shape(), ", [", q.dim(0), ", ",
                         q.dim(1), ", ", q.dim(2), ", N] expected"));
  if (index.device() != kCpu)
    return;  // indices on other devices are not read back: their kernels skip such keys
  const int32_t* at = index.array().data<int32_t>();
  for (int64_t n = 0; n < index.numel(); ++n)
    if (at[n] >= keys)
      throw ValueError(str("selected_attention: key ", at[n], " listed, there are ", keys));
}

}  // namespace

Tensor attention_topk(const Tensor& q, const Tensor& k, const AttentionTerms& terms, double scale,
                      int64_t count) {
  check_attention(q, k, k, terms, {.scale = scale});
  if (count < 1) throw ValueError(str("attention_topk: count ", count, ", at least 1 expected"));
  count = std::min(count, k.dim(2));
  Array index = q.array().new_empty({q.dim(0), q.dim(1), q.dim(2), count}, DType::i32);
  OpName scope("attention_topk");
  AttentionProblem p = attention_problem(q, k, k, terms, {.scale = scale});
  kernels::attention_topk(p, index);
  if (FlopCounter::active()) FlopCounter::add(2 * computed_pairs(terms, p) * q.dim(3));
  return Tensor(index);
}

Tensor listed_pairs(const Tensor& index, int64_t keys) {
  if (index.dtype() != DType::i32 || index.rank() != 4)
    throw ShapeError(str("listed_pairs: a list i32 [B, H, T, N] expected, got ", index.dtype(), " ",
                         index.shape()));
  // Entries that name no key are counted in a column after the last key.
  Tensor place = where(greater(index, -1.0), index.to(DType::i64), static_cast<double>(keys));
  Shape shape = index.shape();
  shape[3] = keys + 1;
  Tensor count = scatter_add(index.new_zeros(shape), 3, place, index.new_ones(index.shape()));
  return greater(count.slice(3, 0, keys), 0.0);
}

Tensor selected_attention(const Tensor& q, const Tensor& k, const Tensor& v, const Tensor& index,
                          const AttentionTerms& terms, const SelectedAttentionOptions& options) {
  check_attention(q, k, v, terms, options.base);
  Tensor list = contiguous(index);
  check_index(list, q, k.dim(2));
  SelectedAttention op{{terms, options.base}, options.self_score, list};
  return apply(std::move(op), q, k, v, terms.relative_bias, terms.bias)[SelectedAttention::kOut];
}

Tensor selected_attention_reference(const Tensor& q_in, const Tensor& k, const Tensor& v,
                                    const Tensor& index, const AttentionTerms& terms,
                                    const SelectedAttentionOptions& options) {
  check_attention(q_in, k, v, terms, options.base);
  Tensor list = contiguous(index);
  check_index(list, q_in, k.dim(2));
  int64_t b = q_in.dim(0), h = q_in.dim(1), t = q_in.dim(2), s = k.dim(2), n = list.dim(3);
  int64_t d = q_in.dim(3), e = v.dim(3), kv = k.dim(1);
  if (b * h * t * n == 0 || s == 0)
    return where(q_in.new_zeros({1}, DType::boolean), matmul(q_in, q_in.new_zeros({d, e})),
                 0.0);  // [B, H, T, E]

  std::vector<int64_t> first, place;  // of each head: its first key's row in k; of each query: i
  for (int64_t head = 0; head < b * h; ++head)
    first.push_back((head / h * kv + head % h / (h / kv)) * s);
  for (int64_t i = 0; i < t; ++i) place.push_back(i);
  Tensor heads = Tensor::from(first, {b, h, 1, 1}, {.device = q_in.device()});
  Tensor queries = Tensor::from(place, {t, 1}, {.device = q_in.device()});
  const Tensor some = greater(list, -1.0);                         // [B, H, T, N]
  Tensor any = greater(sum(some.to(DType::i32), {3}, true), 0.0);  // [B, H, T, 1]
  Tensor key = where(some, list.to(DType::i64), 0.0), row = (key + heads).reshape({b * h * t * n});
  Tensor own = equal(list.to(DType::i64), queries);
  Tensor q = where(any, q_in, 0.0);  // [B, H, T, D]
  auto pick = [&](const Tensor& x, int64_t width) {
    Tensor rows = index_select(x.reshape({b * kv * s, width}), 0, row);
    return where(some.unsqueeze(4), rows.reshape({b, h, t, n, width}), 0.0);  // [B, H, T, N, D]
  };
  Tensor scores =
      matmul(pick(k, d), (q * options.base.scale).unsqueeze(4)).squeeze(4);  // [B, H, T, N]
  Tensor bias = bias_terms(terms, b, t, s, q.dtype());
  if (bias.defined()) scores = scores + gather(broadcast_to(bias, {b, h, t, s}), 3, key);
  if (options.self_score) scores = where(own, *options.self_score, scores);
  Tensor fill = where(any, q.new_full({1}, -std::numeric_limits<double>::infinity()), 0.0);
  Tensor weights = where(some, softmax(where(some, scores, fill), -1), 0.0);
  if (options.base.dropout > 0) {
    Tensor kept = dropout_mask({b, h, t, s}, options.base.dropout, options.base.key,
                               {.dtype = q.dtype(), .device = q.device()});
    weights = weights * gather(kept, 3, key);
  }
  return matmul(weights.unsqueeze(3), pick(v, e)).squeeze(3);  // [B, H, T, E]
}

}  // namespace heed
