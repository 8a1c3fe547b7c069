// Decoding on a key-value cache. Every step begins alike: the checks (Attention::check_step), then
// the new keys are cached, and the terms of the call are moved to where the queries stand among
// the cached keys.
#pragma once

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/kv_cache.h>

namespace heed::nn {

struct KVStep {
  StepGuard past;             // the new keys leave the cache again if the step fails from here on
  Tensor keys{}, values{};    // [B, Hkv, S, D], [B, Hkv, S, E]: all that is cached
  AttentionTerms terms = {};  // with key_end if rows differ, and `offset` if it is not S - T
  Lengths offset{};           // query i of row b stands at key i + offset[b]
};

// k and v undefined: the queries stand at the last cached keys.
KVStep begin_kv_step(KVCache& cache, const Tensor& k, const Tensor& v, const Mask& mask,
                     bool causal, int64_t queries);

}  // namespace heed::nn
