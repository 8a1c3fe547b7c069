#include <heed/nn/attention/fixed_state.h>

#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>

namespace heed::nn {

KeySums merge(const KeySums& a, const KeySums& b) {
  if (!a.top.defined()) return {a.sums + b.sums, {}};
  Tensor top = maximum(a.top, b.top);  // [B, Hkv, 1 or R, 1]
  return {a.sums * exp(a.top - top) + b.sums * exp(b.top - top), top};
}

FixedState::FixedState(int64_t batch, int64_t kv_heads, int64_t features, int64_t columns,
                       int64_t level_rows, DType dtype, Device device)
    : DecodeState("FixedState", batch) {
  tensors_["sums"] = Tensor(Array::zeros({batch, kv_heads, features, columns}, dtype, device));
  if (level_rows == 0) return;
  Tensor top(Array::zeros({batch, kv_heads, level_rows, 1}, dtype, device));
  top.fill_(lowest(dtype));
  tensors_["top"] = top;
}

KeySums FixedState::keys() const {
  auto top = tensors_.find("top");
  return {tensors_.at("sums"), top == tensors_.end() ? Tensor() : top->second};
}

void FixedState::add(const KeySums& fresh, int64_t count, const Mask& mask) {
  NoGrad guard;
  KeySums merged = merge(keys(), fresh);
  // Own copies, so that bytes() is what the state holds and nothing else changes it.
  StateDict own{{"sums", merged.sums.detach()}};
  if (merged.top.defined()) own["top"] = merged.top.detach().contiguous();
  count_keys(mask, count);
  tensors_.swap(own);
}

}  // namespace heed::nn
