// The decode state of variants that need no keys, only sums over them: its size does not grow.
//
//   sums     [B, Hkv, R, W]       sum_j exp(level_j - top) phi(k_j) [v_j, 1]^T
//   top      [B, Hkv, 1 or R, 1]  largest level so far, which the sums are relative to; optional
//   lengths  [B]                  keys that each row has taken in
//
// Sums relative to different levels merge exactly: both are rescaled to the larger one.
#pragma once

#include <heed/nn/attention/decode_state.h>

namespace heed::nn {

struct KeySums {
  Tensor sums;  // [B, Hkv, R, W]
  Tensor top;   // [B, Hkv, 1 or R, 1], undefined where keys have no level
};
KeySums merge(const KeySums& a, const KeySums& b);

class FixedState : public DecodeState {
 public:
  // Empty: sums 0, top lowest. level_rows 0: no levels; 1: one per head; R: one per feature.
  FixedState(int64_t batch, int64_t kv_heads, int64_t features, int64_t columns, int64_t level_rows,
             DType dtype, Device device);

  KeySums keys() const;
  // Takes in sums over `count` new tokens, of which the mask says how many are valid.
  void add(const KeySums& fresh, int64_t count, const Mask& mask);

 private:
  std::unique_ptr<DecodeState> copy() const override { return std::make_unique<FixedState>(*this); }
};

}  // namespace heed::nn
