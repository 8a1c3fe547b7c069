// The decode state of variants that need all keys: keys and values per row, packed from index 0 in
// order of arrival, padding left out. So rows of unequal length decode together, and key j of row b
// always stands at position j.
#pragma once

#include <vector>

#include <heed/nn/attention/decode_state.h>
#include <heed/nn/attention/mask.h>

namespace heed::nn {

class KVCache : public DecodeState {
 public:
  KVCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim, int64_t capacity,
          DType dtype, Device device);
  int64_t batch() const override { return static_cast<int64_t>(lengths_.size()); }
  Tensor lengths() const override;
  void select(const Tensor& rows) override;
  std::unique_ptr<DecodeState> clone() const override;
  int64_t bytes() const override;
  void to(Device device) override;
  StateDict save() const override;
  void load(const StateDict& state) override;

  // Takes in the tokens of k [B, Hkv, N, D] and v [B, Hkv, N, E] that the mask calls valid keys.
  // Memory doubles when it is full.
  void append(const Tensor& k, const Tensor& v, const Mask& mask);
  // Forgets keys [begin, begin + count) of one row; later ones move up.
  void drop(int64_t row, int64_t begin, int64_t count);
  int64_t longest() const;
  bool uniform() const;   // all rows have the same length
  Tensor keys() const;    // [B, Hkv, longest, D], a view; row b is valid up to lengths()[b]
  Tensor values() const;  // [B, Hkv, longest, E]
  const std::vector<int64_t>& host_lengths() const { return lengths_; }
  int64_t capacity() const { return k_.dim(2); }

 private:
  KVCache() = default;
  void reserve(int64_t length);
  Tensor k_, v_;  // [B, Hkv, capacity, D], [B, Hkv, capacity, E]
  std::vector<int64_t> lengths_;
};

}  // namespace heed::nn
