// The decode state of Linformer: the k projected keys and values, and how many tokens each row has
// taken in. It does not grow.
#pragma once

#include <heed/nn/attention/decode_state.h>

namespace heed::nn {

class ProjectedState : public DecodeState {
 public:
  ProjectedState(int64_t batch, int64_t kv_heads, int64_t length, int64_t head_dim,
                 int64_t value_dim, DType dtype, Device device);

  const Tensor& keys() const { return tensors_.at("k"); }    // [B, Hkv, k, D]
  const Tensor& values() const { return tensors_.at("v"); }  // [B, Hkv, k, E]
  // Both, once the valid ones of `count` new tokens have been added to them.
  void set(const Tensor& keys, const Tensor& values, const Mask& mask, int64_t count);

 private:
  std::unique_ptr<DecodeState> copy() const override {
    return std::make_unique<ProjectedState>(*this);
  }
};

}  // namespace heed::nn
