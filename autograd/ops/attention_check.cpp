#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/block_layout.h>

namespace heed {
namespace {

void check_rows(const Tensor& x, const char* name, int64_t batch) {
  if (!x.defined()) return;
  if (x.dtype() != DType::i64)
    throw DTypeError(str("attention: ", name, " is ", x.dtype(), ", i64 expected"));
  if (x.rank() != 1 || x.dim(0) != batch)
    throw ShapeError(str("attention: ", name, " is ", x.shape(),
                         ", one value a batch row expected: [", batch, "]"));
}

void check_operand(const Tensor& x, const char* name, const Tensor& q) {
  if (!x.defined()) throw ValueError(str("attention: ", name, " is undefined"));
  if (x.rank() != 4)
    throw ShapeError(str("attention: ", name, " is ", x.shape(),
                         ", [batch, heads, positions, channels] expected"));
  if (!is_differentiable(x.dtype())) refuse_dtype(str("attention: ", name).c_str(), x.dtype());
  if (x.dtype() != q.dtype())
    throw DTypeError(str("attention: ", name, " is ", x.dtype(), " but q is ", q.dtype()));
  if (x.device() != q.device())
    throw DeviceError(str("attention: ", name, " is on ", x.device(), " but q is on ", q.device()));
}

}  // namespace

void check_attention(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionTerms& terms,
                     const FusedAttentionOptions& options) {
  check_operand(q, "q", q);
  check_operand(k, "k", q);
  check_operand(v, "v", q);
  int64_t batch = q.dim(0), heads = q.dim(1);
  if (k.dim(0) != batch || v.dim(0) != batch)
    throw ShapeError(
        str("attention: batch sizes differ: q ", q.shape(), ", k ", k.shape(), ", v ", v.shape()));
  if (k.dim(1) != v.dim(1) || k.dim(2) != v.dim(2))
    throw ShapeError(
        str("attention: k and v differ in heads or positions: ", k.shape(), " and ", v.shape()));
  if (q.dim(3) != k.dim(3))
    throw ShapeError(str("attention: channels of q and k differ: ", q.shape(), " x ", k.shape(),
                         " (", q.dim(3), " != ", k.dim(3), ")"));
  if (k.dim(1) == 0 ? heads != 0 : heads % k.dim(1) != 0)
    throw ShapeError(
        str("attention: ", k.dim(1), " key heads do not divide ", heads, " query heads"));

  check_rows(terms.key_begin, "key_begin", batch);
  check_rows(terms.key_end, "key_end", batch);
  check_rows(terms.query_begin, "query_begin", batch);
  check_rows(terms.query_end, "query_end", batch);
  check_rows(terms.offset, "offset", batch);
  Shape map{batch, heads, q.dim(2), k.dim(2)};
  if (const Tensor& slopes = terms.alibi_slopes; slopes.defined()) {
    if (slopes.rank() != 1 || slopes.dim(0) != heads)
      throw ShapeError(str("attention: alibi_slopes is ", slopes.shape(),
                           ", one a head expected: [", heads, "]"));
    if (!is_differentiable(slopes.dtype())) refuse_dtype("attention: alibi_slopes", slopes.dtype());
  }
  if (const Tensor& table = terms.relative_bias; table.defined()) {
    if (table.rank() != 2 || table.dim(0) != heads)
      throw ShapeError(
          str("attention: relative_bias is ", table.shape(), ", [", heads, ", buckets] expected"));
    if (table.dtype() != q.dtype())
      throw DTypeError(str("attention: relative_bias is ", table.dtype(), " but q is ", q.dtype()));
    int64_t one_side = terms.relative_bidirectional ? table.dim(1) / 2 : table.dim(1);
    if (one_side < 2)
      throw ValueError(str("attention: ", table.dim(1), " relative buckets; at least ",
                           terms.relative_bidirectional ? 4 : 2, " are needed"));
    if (terms.relative_max_distance <= one_side / 2)
      throw ValueError(str("attention: relative_max_distance ", terms.relative_max_distance,
                           " must exceed the ", one_side / 2,
                           " distances that have a bucket of their own"));
  }
  if (const Tensor& mask = terms.pair_mask; mask.defined()) {
    if (mask.dtype() != DType::boolean)
      throw DTypeError(
          str("attention: pair_mask is ", mask.dtype(), ", bool expected (true = keep)"));
    if (!broadcastable_to(mask.shape(), map))
      throw ShapeError(str("attention: pair_mask ", mask.shape(), " does not broadcast to ", map));
  }
  if (const Tensor& bias = terms.bias; bias.defined()) {
    if (bias.dtype() != q.dtype())
      throw DTypeError(str("attention: bias is ", bias.dtype(), " but q is ", q.dtype()));
    if (!broadcastable_to(bias.shape(), map))
      throw ShapeError(str("attention: bias ", bias.shape(), " does not broadcast to ", map));
  }
  if (const auto& layout = terms.layout)
    if (layout->queries() != q.dim(2) || layout->keys() != k.dim(2))
      throw ShapeError(str("attention: a layout for ", layout->queries(), " queries and ",
                           layout->keys(), " keys, but the map is ", map));
  if (!(options.dropout >= 0 && options.dropout <= 1))
    throw ValueError(str("attention: dropout ", options.dropout, " is not between 0 and 1"));
}

}  // namespace heed
