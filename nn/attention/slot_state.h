// The decode state of Linformer: keys and values already projected to k slots, and how many tokens
// each row has taken in. It does not grow.
#pragma once

#include <vector>

#include <heed/nn/attention/decode_state.h>

namespace heed::nn {

class SlotState : public DecodeState {
 public:
  SlotState(int64_t batch, int64_t kv_heads, int64_t slots, int64_t head_dim, int64_t value_dim,
            DType dtype);
  int64_t batch() const override { return static_cast<int64_t>(host_lengths.size()); }
  Tensor lengths() const override;
  void select(const Tensor& rows) override;
  std::unique_ptr<DecodeState> clone() const override;
  int64_t bytes() const override;
  void to(Device device) override;
  StateDict save() const override;
  void load(const StateDict& state) override;

  Tensor keys;    // [B, Hkv, k, D]
  Tensor values;  // [B, Hkv, k, E]
  std::vector<int64_t> host_lengths;

 private:
  SlotState() = default;
};

}  // namespace heed::nn
