#include <heed/nn/attention/slot_state.h>

namespace heed::nn {

SlotState::SlotState(int64_t batch, int64_t kv_heads, int64_t slots, int64_t head_dim,
                     int64_t value_dim, DType dtype, Device device)
    : DecodeState("SlotState", batch) {
  for (auto [name, width] : {std::pair{"k", head_dim}, {"v", value_dim}})
    tensors_[name] = Tensor(Array::zeros({batch, kv_heads, slots, width}, dtype, device));
}

void SlotState::set(const Tensor& keys, const Tensor& values, const Mask& mask, int64_t count) {
  count_keys(mask, count);
  tensors_.at("k") = keys;
  tensors_.at("v") = values;
}

}  // namespace heed::nn
