#include <heed/nn/attention/projected_state.h>

namespace heed::nn {

ProjectedState::ProjectedState(int64_t batch, int64_t kv_heads, int64_t length, int64_t head_dim,
                               int64_t value_dim, DType dtype, Device device)
    : DecodeState("ProjectedState", batch) {
  for (auto [name, width] : {std::pair{"k", head_dim}, {"v", value_dim}})
    tensors_[name] = Tensor(Array::zeros({batch, kv_heads, length, width}, dtype, device));
}

void ProjectedState::set(const Tensor& keys, const Tensor& values, const Mask& mask,
                         int64_t count) {
  count_keys(mask, count);
  tensors_.at("k") = keys;
  tensors_.at("v") = values;
}

}  // namespace heed::nn
