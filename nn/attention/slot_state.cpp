#include <heed/nn/attention/slot_state.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/index.h>
#include <heed/core/error.h>
#include <heed/nn/attention/mask.h>

namespace heed::nn {

SlotState::SlotState(int64_t batch, int64_t kv_heads, int64_t slots, int64_t head_dim,
                     int64_t value_dim, DType dtype) {
  if (batch < 0) throw ValueError(str("SlotState: batch ", batch, " must not be negative"));
  host_lengths.assign(static_cast<size_t>(batch), 0);
  keys = zeros({batch, kv_heads, slots, head_dim}, dtype);
  values = zeros({batch, kv_heads, slots, value_dim}, dtype);
}

Tensor SlotState::lengths() const { return Tensor::from(host_lengths, {batch()}); }

void SlotState::select(const Tensor& rows) {
  NoGrad guard;
  if (rows.rank() != 1) throw ShapeError(str("SlotState: rows [R] expected, got ", rows.shape()));
  std::vector<int64_t> chosen;
  for (int64_t r : to_integers(rows)) {
    if (r < 0 || r >= batch())
      throw ValueError(str("SlotState: row ", r, " asked for, the state has ", batch()));
    chosen.push_back(host_lengths[static_cast<size_t>(r)]);
  }
  keys = index_select(keys, 0, rows);      // [R, Hkv, k, D]
  values = index_select(values, 0, rows);  // [R, Hkv, k, E]
  host_lengths = chosen;
}

std::unique_ptr<DecodeState> SlotState::clone() const {
  std::unique_ptr<SlotState> copy(new SlotState);
  copy->keys = keys.clone();
  copy->values = values.clone();
  copy->host_lengths = host_lengths;
  return copy;
}

int64_t SlotState::bytes() const { return keys.array().bytes() + values.array().bytes(); }

void SlotState::to(Device device) {
  if (!(device == keys.device()))
    throw DeviceError(
        str("SlotState: moving from ", keys.device(), " to ", device, " is not supported"));
}

StateDict SlotState::save() const {
  return {{"k", keys.clone()}, {"v", values.clone()}, {"lengths", lengths()}};
}

void SlotState::load(const StateDict& state) {
  for (const char* name : {"k", "v", "lengths"})
    if (!state.count(name))
      throw ValueError(str("SlotState: '", name, "' is missing in the saved state"));
  const Tensor &k = state.at("k"), &v = state.at("v"), &lengths = state.at("lengths");
  auto fits = [&](const Tensor& t, const Tensor& mine) {
    return t.rank() == 4 && t.dim(0) == k.dim(0) && t.dim(1) == mine.dim(1) &&
           t.dim(2) == mine.dim(2) && t.dim(3) == mine.dim(3) && t.dtype() == mine.dtype();
  };
  bool good = fits(k, keys) && fits(v, values) && lengths.rank() == 1 &&
              lengths.dim(0) == k.dim(0) && lengths.dtype() == DType::i64;
  std::vector<int64_t> counts;
  if (good) counts = to_integers(lengths);
  for (int64_t n : counts) good = good && n >= 0;
  if (!good)
    throw ValueError(str("SlotState: the saved state does not fit: k ", k.shape(), ", v ",
                         v.shape(), ", lengths ", lengths.shape(), " for keys ", keys.shape(),
                         " and values ", values.shape(), " ", keys.dtype()));
  keys = k.clone();
  values = v.clone();
  host_lengths = counts;
}

}  // namespace heed::nn
