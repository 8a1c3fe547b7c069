// Decoding on a key-value cache. Every step begins with checks, the new keys taken in, and the
// terms of the call moved to where the queries stand among the cached keys.
#pragma once

#include <memory>
#include <vector>

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/kv_cache.h>

namespace heed::nn {

struct KVStep {
  Tensor keys, values;          // [B, Hkv, S, D], [B, Hkv, S, E]: all that is cached
  AttentionTerms terms;         // key_end where rows differ; `offset` where it is not S - T
  std::vector<int64_t> offset;  // query i of row b stands at key i + offset[b]
  bool same_offset = true;
};

// An empty cache of keys and values of the config's sizes.
std::unique_ptr<DecodeState> new_kv_cache(const AttentionConfig& config, int64_t batch,
                                          int64_t capacity, DType dtype, Device device);
// `attention` names the variant in errors and says which sizes are expected. k and v undefined: the
// queries stand at the last cached keys.
KVStep begin_kv_step(const Attention& attention, const Tensor& q, const Tensor& k, const Tensor& v,
                     const AttentionCall& call, KVCache& cache);
// Keys without queries.
void absorb_keys(const Attention& attention, const Tensor& k, const Tensor& v,
                 const AttentionCall& call, KVCache& cache);
// ShapeError unless k [B, Hkv, N, D] and v [B, Hkv, N, E].
void require_new_keys(const Attention& attention, const Tensor& k, const Tensor& v);

}  // namespace heed::nn
