#include <heed/nn/attention/kv_step.h>

#include <algorithm>

#include <heed/core/error.h>

namespace heed::nn {

std::unique_ptr<DecodeState> new_kv_cache(const AttentionConfig& config, int64_t batch,
                                          int64_t capacity, DType dtype, Device device) {
  return std::make_unique<KVCache>(batch, config.kv_heads, config.head_dim, config.value_dim,
                                   capacity, dtype, device);
}

void require_new_keys(const Attention& attention, const Tensor& k, const Tensor& v) {
  const AttentionConfig& c = attention.config();
  bool good = k.rank() == 4 && v.rank() == 4 && k.dim(1) == c.kv_heads && k.dim(3) == c.head_dim &&
              v.dim(0) == k.dim(0) && v.dim(1) == c.kv_heads && v.dim(2) == k.dim(2) &&
              v.dim(3) == c.value_dim;
  if (!good)
    throw ShapeError(str(attention.name(), ": k [B, ", c.kv_heads, ", N, ", c.head_dim,
                         "] and v [B, ", c.kv_heads, ", N, ", c.value_dim, "] expected, got ",
                         k.shape(), " and ", v.shape()));
}

void absorb_keys(const Attention& attention, const Tensor& k, const Tensor& v,
                 const AttentionCall& call, KVCache& cache) {
  require_new_keys(attention, k, v);
  call.mask.check(k.dim(0), attention.config().heads, k.dim(2), k.dim(2), attention.name());
  cache.append(k, v, call.mask);
}

KVStep begin_kv_step(const Attention& attention, const Tensor& q, const Tensor& k, const Tensor& v,
                     const AttentionCall& call, KVCache& cache) {
  const AttentionConfig& c = attention.config();
  const char* name = attention.name();
  if (k.defined() != v.defined()) throw ValueError(str(name, ": step takes k and v, or neither"));
  if (call.dropout > 0) throw ValueError(str(name, ": dropout has no meaning while decoding"));
  if (q.rank() != 4 || q.dim(0) != cache.batch() || q.dim(1) != c.heads || q.dim(3) != c.head_dim)
    throw ShapeError(str(name, ": q [", cache.batch(), ", ", c.heads, ", T, ", c.head_dim,
                         "] expected, got ", q.shape()));
  KVStep step;
  step.terms = call.mask.terms(c.causal);
  step.offset = cache.host_lengths();
  int64_t fresh = q.dim(2);
  if (k.defined()) {
    require_new_keys(attention, k, v);
    if (k.dim(2) != fresh)
      throw ShapeError(str(name, ": step takes one key a query, got ", k.dim(2), " keys and ",
                           fresh, " queries; absorb takes keys alone"));
    if (step.terms.offset.defined()) throw ValueError(str(name, ": step sets the offset itself"));
    // Padding before the new tokens is not cached: they stand that much earlier.
    std::vector<int64_t> begin = to_integers(step.terms.key_begin);
    for (size_t b = 0; b < begin.size() && b < step.offset.size(); ++b)
      step.offset[b] -= std::clamp<int64_t>(begin[b], 0, fresh);
    cache.append(k, v, call.mask);
  } else {
    for (int64_t& x : step.offset) x -= fresh;
  }
  step.keys = cache.keys();
  step.values = cache.values();
  step.terms.key_begin = Tensor();
  step.terms.key_end = cache.uniform() ? Tensor() : cache.lengths();
  int64_t usual = step.keys.dim(2) - fresh;
  bool all_usual = true;
  for (int64_t x : step.offset) {
    step.same_offset = step.same_offset && x == step.offset[0];
    all_usual = all_usual && x == usual;
  }
  if (!all_usual && !step.terms.offset.defined())
    step.terms.offset = Tensor::from(step.offset, {cache.batch()});
  return step;
}

}  // namespace heed::nn
