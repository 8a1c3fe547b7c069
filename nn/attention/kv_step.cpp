#include <heed/nn/attention/kv_step.h>

#include <algorithm>

namespace heed::nn {

KVStep begin_kv_step(KVCache& cache, const Tensor& k, const Tensor& v, const Mask& mask,
                     bool causal, int64_t queries) {
  KVStep step{StepGuard(cache)};
  step.offset = k.defined() ? cache.first_places(mask, queries) : cache.held().minus(queries);
  if (k.defined()) cache.append(k, v, mask);
  step.keys = cache.keys();
  step.values = cache.values();
  step.terms = mask.terms(causal);
  step.terms.key_begin = Lengths();
  step.terms.key_end = cache.held().all_equal() ? Lengths() : cache.held();
  const std::vector<int64_t>& offset = step.offset.values();
  int64_t usual = step.keys.dim(2) - queries;
  if (!std::all_of(offset.begin(), offset.end(), [&](int64_t x) { return x == usual; }))
    step.terms.offset = step.offset;
  return step;
}

}  // namespace heed::nn
