#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/block_layout.h>

namespace heed {
namespace {

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

  check_terms(terms, {batch, heads, q.dim(2), k.dim(2)}, q.dtype(), "attention");
  if (!(options.dropout >= 0 && options.dropout <= 1))
    throw ValueError(str("attention: dropout ", options.dropout, " is not between 0 and 1"));
}

}  // namespace heed
