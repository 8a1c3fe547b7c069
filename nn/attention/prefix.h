// The common part of variants that keep sums over keys instead of keys: aligning queries with keys,
// running maxima, and the first steps of decoding.
#pragma once

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/fixed_state.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

// out_i = max_{j <= i} x_j along an axis, in log2(N) doublings. Differentiable; ties share the
// gradient.
Tensor running_max(const Tensor& x, int axis);

// The offset at which query i stands at key i + offset: one number, or one per batch row where
// rows differ.
Lengths query_offsets(const Mask& mask, int64_t queries, int64_t keys);

// [B, H, N, X] as [B, Hkv, H / Hkv, N, X]: the query heads grouped by the key head they read.
Tensor by_key_head(const Tensor& x, int64_t kv_heads);

// How causal queries and keys are aligned. The first `empty_queries` queries see no key; the other
// `active_queries` all see the first `shared_keys` keys. Of the keys after these, the next
// `paired_keys` stand at the positions of the first active queries, one each.
struct Alignment {
  int64_t empty_queries, active_queries, shared_keys, paired_keys;
};
Alignment align(int64_t offset, int64_t queries, int64_t keys);

// Flops of prefix_product's matrix products for one batch item: `rows` rows, R features, W columns;
// `heads` heads of queries, `kv_heads` of keys and values.
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
  // check_step, and the limit of sums: they cannot forget a key, so causal queries to absorbed keys
  // must come one at a time.
  void check_sums_step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                       const DecodeState& state) const;
};

}  // namespace heed::nn
