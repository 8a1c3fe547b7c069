#include <heed/nn/attention/prefix.h>

#include <algorithm>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/fixed_state.h>

namespace heed::nn {

Tensor running_max(const Tensor& x, int axis) {
  Tensor out = x;
  for (int64_t reach = 1; reach < x.dim(axis); reach *= 2) {
    Tensor before = out.slice(axis, 0, x.dim(axis) - reach);
    out = maximum(out, pad(before, axis, reach, 0, lowest(x.dtype())));
  }
  return out;
}

std::vector<int64_t> query_offsets(const Mask& mask, int64_t queries, int64_t keys) {
  std::vector<int64_t> offset = to_integers(mask.terms().offset);
  if (offset.empty()) return {keys - queries};
  for (int64_t x : offset)
    if (x != offset[0]) return offset;
  return {offset[0]};
}

Tensor by_key_head(const Tensor& x, int64_t kv_heads) {
  return x.reshape({x.dim(0), kv_heads, x.dim(1) / kv_heads, x.dim(2), x.dim(3)});
}

Alignment align(int64_t offset, int64_t queries, int64_t keys) {
  Alignment a;
  a.blind = std::clamp<int64_t>(-offset, 0, queries);
  a.live = queries - a.blind;
  a.shared = std::clamp<int64_t>(offset, 0, keys);
  a.beside = std::min(a.live, keys - a.shared);
  return a;
}

// What one call does; a state is made for each head of keys.
static int64_t one_product(int64_t rows, int64_t r, int64_t w, int64_t own, int64_t keys) {
  int64_t flops = 0, all = std::max(own, keys);
  for (int64_t at = 0; at < rows; at += kPrefixChunk) {
    int64_t n = std::min(kPrefixChunk, rows - at);
    flops += all * 2 * n * n * (r + w);                // inside the chunk
    if (at > 0) flops += all * 2 * n * r * w;          // queries meet the state
    if (at + n < rows) flops += keys * 2 * n * r * w;  // the state takes the keys in
  }
  return flops;
}

int64_t prefix_product_flops(int64_t rows, int64_t r, int64_t w, int64_t heads, int64_t kv_heads,
                             Pass pass) {
  if (pass == Pass::forward) return one_product(rows, r, w, heads, kv_heads);
  // dQ = tril(dO V^T) K,  dK = tril(dO V^T)^T Q,  dV = tril(Q K^T)^T dO
  return one_product(rows, w, r, heads, kv_heads) + one_product(rows, w, r, kv_heads, heads) +
         one_product(rows, r, w, kv_heads, heads);
}

void PrefixAttention::check_new_tokens(const Tensor& q, const Tensor& k, const Tensor& v,
                                       const AttentionCall& call) const {
  const AttentionConfig& c = config();
  if (k.defined() != v.defined()) throw ValueError(str(name(), ": step takes k and v, or neither"));
  if (q.defined() && call.mask.terms().offset.defined())
    throw ValueError(str(name(), ": step sets the offset itself"));
  const Tensor& given = q.defined() ? q : k;
  if (!given.defined() || given.rank() != 4)
    throw ShapeError(str(name(), ": new tokens [B, heads, N, ", c.head_dim, "] expected, got ",
                         given.defined() ? to_string(given.shape()) : "nothing"));
  if (q.defined() && k.defined() && k.rank() == 4 && k.dim(2) != q.dim(2))
    throw ShapeError(str(name(), ": step takes one key a query, got ", k.dim(2), " keys and ",
                         q.dim(2), " queries; absorb takes keys alone"));
  if (!k.defined() && c.causal && q.dim(2) > 1)
    throw ValueError(str(name(), ": ", q.dim(2),
                         " queries without keys asked for while causal; the state holds sums, not "
                         "keys, so that they come one at a time"));
  auto stand_in = [&](int64_t heads) {  // what is not there, without memory
    return broadcast_to(zeros({1, 1, 1, 1}, given.dtype()),
                        {given.dim(0), heads, given.dim(2), c.head_dim});
  };
  check_call(q.defined() ? q : stand_in(c.heads), k.defined() ? k : stand_in(c.kv_heads), v, call);
}

}  // namespace heed::nn
