// The decode state of variants that need no keys, only sums over them: its size does not grow.
//
//   sums [B, Hkv, R, W]   sum_j exp(level_j - top) phi(k_j) [v_j, 1]^T
//   top  [B, Hkv, 1 or R, 1]   largest level so far, the reference of the sums; may be absent
//   lengths [B]           keys that each row has taken in
//
// Sums with another reference merge exactly: both are rescaled to the larger one.
#pragma once

#include <vector>

#include <heed/nn/attention/decode_state.h>
#include <heed/nn/attention/mask.h>

namespace heed::nn {

struct KeySums {
  Tensor sums;  // [B, Hkv, R, W]
  Tensor top;   // [B, Hkv, 1 or R, 1], undefined where keys have no level
};
KeySums merge(const KeySums& a, const KeySums& b);

// What stands for -infinity in levels: exp(lowest - x) is 0, and lowest - lowest is 0, not NaN.
double lowest(DType dtype);

class FixedState : public DecodeState {
 public:
  // Empty: sums 0, top lowest. level_rows 0: no levels; 1: one a head; R: one a feature.
  FixedState(int64_t batch, int64_t kv_heads, int64_t features, int64_t columns, int64_t level_rows,
             DType dtype, Device device);
  int64_t batch() const override { return static_cast<int64_t>(lengths_.size()); }
  Tensor lengths() const override;
  void select(const Tensor& rows) override;
  std::unique_ptr<DecodeState> clone() const override;
  int64_t bytes() const override;
  void to(Device device) override;
  StateDict save() const override;
  void load(const StateDict& state) override;

  const KeySums& keys() const { return keys_; }
  const std::vector<int64_t>& host_lengths() const { return lengths_; }
  // Where token 0 of new ones would stand in each row, padding before it left out.
  std::vector<int64_t> first_positions(const Mask& mask) const;
  // Takes in sums over `count` new tokens, of which the mask says how many are valid.
  void add(const KeySums& fresh, int64_t count, const Mask& mask);
  void require_batch(const char* who, const Tensor& x) const;  // rows and dtype fit, or an error

 private:
  FixedState() = default;
  KeySums keys_;
  std::vector<int64_t> lengths_;
};

}  // namespace heed::nn
