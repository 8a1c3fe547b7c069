#include <heed/nn/attention/prefix.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>

namespace heed::nn {

Tensor running_max(const Tensor& x, int axis) {
  Tensor out = x;
  for (int64_t reach = 1; reach < x.dim(axis); reach *= 2) {
    Tensor before = out.slice(axis, 0, x.dim(axis) - reach);
    out = maximum(out, pad(before, axis, reach, 0, lowest(x.dtype())));
  }
  return out;
}

Lengths query_offsets(const Mask& mask, int64_t queries, int64_t keys) {
  const Lengths& offset = mask.terms().offset;
  if (!offset.defined() || offset.size() == 0) return {keys - queries};
  return offset.all_equal() ? Lengths{offset[0]} : offset;
}

Tensor by_key_head(const Tensor& x, int64_t kv_heads) {
  return x.reshape({x.dim(0), kv_heads, x.dim(1) / kv_heads, x.dim(2), x.dim(3)});
}

Alignment align(int64_t offset, int64_t queries, int64_t keys) {
  Alignment a;
  a.empty_queries = std::clamp<int64_t>(-offset, 0, queries);
  a.active_queries = queries - a.empty_queries;
  a.shared_keys = std::clamp<int64_t>(offset, 0, keys);
  a.paired_keys = std::min(a.active_queries, keys - a.shared_keys);
  return a;
}

// Flops of one prefix_product; each head of keys has its own state.
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

void PrefixAttention::absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                             DecodeState& state) const {
  if (needs_widening(k)) return absorb_widened(k, v, call, state);
  NoGrad guard;
  auto scope = enter();
  FixedState& s = state_as<FixedState>(state);
  check_step(Tensor(), k, v, call, s);
  int64_t count = k.dim(2);
  s.add(sums_of(k, v, call, s.first_positions(call.mask, count)), count, call.mask);
}

void PrefixAttention::check_sums_step(const Tensor& q, const Tensor& k, const Tensor& v,
                                      const AttentionCall& call, const DecodeState& state) const {
  check_step(q, k, v, call, state);
  if (!k.defined() && config().causal && q.dim(2) > 1)
    throw ValueError(str(name(), ": ", q.dim(2),
                         " queries without keys asked for while causal; the state holds sums, not "
                         "keys, so that they come one at a time"));
}

}  // namespace heed::nn
