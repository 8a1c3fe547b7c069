#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/block_layout.h>

namespace heed {
namespace {

void require_rows(const Lengths& x, const char* name, int64_t batch, const char* who) {
  if (x.defined() && x.size() != batch)
    throw ShapeError(str(who, ": ", name, " for ", x.size(), " rows, but the batch has ", batch));
}

void require_map(const Tensor& x, const char* name, const Shape& map, const char* who) {
  if (!broadcastable_to(x.shape(), map))
    throw ShapeError(str(who, ": ", name, " ", x.shape(), " does not broadcast to ", map));
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

void check_terms(const AttentionTerms& terms, const Shape& map, DType dtype, const char* who) {
  int64_t batch = map[0], heads = map[1];
  require_rows(terms.key_begin, "key padding", batch, who);
  require_rows(terms.key_end, "key padding", batch, who);
  require_rows(terms.query_begin, "query padding", batch, who);
  require_rows(terms.query_end, "query padding", batch, who);
  require_rows(terms.offset, "an offset", batch, who);
  if (const Tensor& slopes = terms.alibi_slopes; slopes.defined()) {
    if (slopes.rank() != 1 || slopes.dim(0) != heads)
      throw ShapeError(
          str(who, ": ALiBi slopes ", slopes.shape(), ", one a head expected: [", heads, "]"));
    if (!is_differentiable(slopes.dtype()))
      throw DTypeError(str(who, ": ALiBi slopes are ", slopes.dtype(), ", f32 or f64 expected"));
  }
  if (const Tensor& table = terms.relative_bias; table.defined()) {
    if (table.rank() != 2 || table.dim(0) != heads)
      throw ShapeError(
          str(who, ": a relative-bias table ", table.shape(), ", [", heads, ", buckets] expected"));
    if (table.dtype() != dtype)
      throw DTypeError(
          str(who, ": the relative-bias table is ", table.dtype(), " but q is ", dtype));
    int64_t one_side = terms.relative_bidirectional ? table.dim(1) / 2 : table.dim(1);
    if (one_side < 2)
      throw ValueError(str(who, ": ", table.dim(1), " relative buckets; at least ",
                           terms.relative_bidirectional ? 4 : 2, " are needed"));
    if (terms.relative_max_distance <= one_side / 2)
      throw ValueError(str(who, ": relative_max_distance ", terms.relative_max_distance,
                           " must exceed the ", one_side / 2,
                           " distances that have a bucket of their own"));
  }
  if (const Tensor& mask = terms.pair_mask; mask.defined()) {
    if (mask.dtype() != DType::boolean)
      throw DTypeError(
          str(who, ": the pair mask is ", mask.dtype(), ", bool expected (true = keep)"));
    require_map(mask, "the pair mask", map, who);
  }
  if (const Tensor& bias = terms.bias; bias.defined()) {
    if (bias.dtype() != dtype)
      throw DTypeError(str(who, ": the bias is ", bias.dtype(), " but q is ", dtype));
    require_map(bias, "the bias", map, who);
  }
  if (const auto& layout = terms.layout)
    if (layout->queries() != map[2] || layout->keys() != map[3])
      throw ShapeError(str(who, ": a layout for ", layout->queries(), " queries and ",
                           layout->keys(), " keys, but the map is ", map));
}

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

  check_terms(terms, {batch, heads, q.dim(2), k.dim(2)}, q.dtype(), "attention");
  if (!(options.dropout >= 0 && options.dropout <= 1))
    throw ValueError(str("attention: dropout ", options.dropout, " is not between 0 and 1"));
}

}  // namespace heed
