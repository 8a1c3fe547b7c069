// What variants share that keep sums over keys instead of keys: aligning queries with keys, running
// maxima, and what a decoding step begins with.
#pragma once

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/fixed_state.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

// out_i = max_{j <= i} x_j along an axis, in log2(N) doublings. Differentiable; a tie's gradient is
// divided.
Tensor running_max(const Tensor& x, int axis);

// Query i stands at key i + offset: one number, or one a batch row where they differ.
Lengths query_offsets(const Mask& mask, int64_t queries, int64_t keys);

// [B, H, N, X] as [B, Hkv, H / Hkv, N, X]: a key head beside the query heads that read it.
Tensor by_key_head(const Tensor& x, int64_t kv_heads);

// How causal queries and keys meet: `blind` queries stand before the first key; the first `shared`
// keys are seen by every other query; the next `beside` keys stand side by side with the first of
// the `live` queries.
struct Alignment {
  int64_t blind, live, shared, beside;
};
Alignment align(int64_t offset, int64_t queries, int64_t keys);

// Contractions of prefix_product for a batch item: `rows` rows, R features, W columns; `heads`
// heads of queries, `kv_heads` of keys and values.
int64_t prefix_product_flops(int64_t rows, int64_t features, int64_t columns, int64_t heads,
                             int64_t kv_heads, Pass pass);

class PrefixAttention : public Attention {
 public:
  void absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;

 protected:
  using Attention::Attention;
  // The sums over new keys, for a FixedState. `first`: where token 0 of each row stands.
  virtual KeySums sums_of(const Tensor& k, const Tensor& v, const AttentionCall& call,
                          const Lengths& first) const = 0;
  // check_step, and: sums cannot forget a key, so that causal queries of absorbed keys come one at
  // a time.
  void check_sums_step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                       const DecodeState& state) const;
};

}  // namespace heed::nn
