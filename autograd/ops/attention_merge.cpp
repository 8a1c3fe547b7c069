#include <limits>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/core/error.h>

namespace heed {

namespace {

constexpr double kNoKeys = -std::numeric_limits<double>::infinity();

// Rows without a visible key get a finite number below any score, since differences of infinities
// are NaN; derivatives stay finite, too.
Tensor finite(const Tensor& lse) { return where(equal(lse, kNoKeys), lowest(lse.dtype()), lse); }

}  // namespace

// With d = lse_a - lse_b, the weights of the parts are sigmoid(d) and sigmoid(-d), which cannot
// overflow.
AttentionParts merge_attention(const AttentionParts& a, const AttentionParts& b) {
  if (!(a.out.shape() == b.out.shape()) || !(a.lse.shape() == b.lse.shape()))
    throw ShapeError(str("merge_attention: parts of one shape expected, got ", a.out.shape(),
                         " and ", b.out.shape()));
  Tensor lse_a = widened(a.lse), lse_b = widened(b.lse);
  Tensor at_a = finite(lse_a), at_b = finite(lse_b), d = at_a - at_b;       // [B, H, T]
  Tensor share = sigmoid(d).unsqueeze(3), rest = sigmoid(-d).unsqueeze(3);  // [B, H, T, 1]
  Tensor lse = logsumexp(stack({at_a, at_b}, 3), 3);
  Tensor none = logical_and(equal(lse_a, kNoKeys), equal(lse_b, kNoKeys));
  Tensor out = widened(a.out) * share + widened(b.out) * rest;
  return {out.to(a.out.dtype()), where(none, kNoKeys, lse).to(a.lse.dtype())};
}

Tensor with_sinks(const AttentionParts& parts, const Tensor& sinks) {
  int64_t heads = parts.out.dim(1);
  if (!(sinks.shape() == Shape{heads}))
    throw ShapeError(str("with_sinks: sinks [", heads, "] expected, got ", sinks.shape()));
  Tensor lse = finite(widened(parts.lse));
  Tensor share = sigmoid(lse - sinks.to(lse.dtype()).reshape({heads, 1})).unsqueeze(3);
  return (widened(parts.out) * share).to(parts.out.dtype());  // [B, H, T, E]
}

}  // namespace heed
