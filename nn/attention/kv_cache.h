// The decode state of variants that need all keys: keys and values per row, packed from index 0 in
// order of arrival, padding left out. So rows of unequal length decode together, and key j of row b
// always stands at position j.
#pragma once

#include <heed/nn/attention/decode_state.h>

namespace heed::nn {

class KVCache : public DecodeState {
 public:
  KVCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim, int64_t capacity,
          DType dtype, Device device);

  // Takes in the tokens of k [B, Hkv, N, D] and v [B, Hkv, N, E] that the mask calls valid keys.
  // Memory doubles when it is full.
  void append(const Tensor& k, const Tensor& v, const Mask& mask);
  Tensor keys() const;    // [B, Hkv, longest, D], a view; row b is valid up to held()[b]
  Tensor values() const;  // [B, Hkv, longest, E]
  int64_t capacity() const { return tensors_.at("k").dim(2); }

 protected:
  KVCache(const char* name, int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim,
          int64_t capacity, DType dtype, Device device);
  std::unique_ptr<DecodeState> copy() const override { return std::make_unique<KVCache>(*this); }
  // Forgets keys [begin, begin + count) of one row; later ones move up.
  void drop(int64_t row, int64_t begin, int64_t count);

 private:
  void reserve(int64_t length);
};

}  // namespace heed::nn
