#include <heed/nn/attention/fixed_state.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/core/error.h>

namespace heed::nn {

double lowest(DType dtype) {
  if (dtype == DType::f64) return std::numeric_limits<double>::lowest();
  if (dtype == DType::bf16) return -0x1.FEp127;  // f32's would round to -inf
  return static_cast<double>(std::numeric_limits<float>::lowest());
}

KeySums merge(const KeySums& a, const KeySums& b) {
  if (!a.top.defined()) return {a.sums + b.sums, {}};
  Tensor top = maximum(a.top, b.top);  // [B, Hkv, 1 or R, 1]
  return {a.sums * exp(a.top - top) + b.sums * exp(b.top - top), top};
}

FixedState::FixedState(int64_t batch, int64_t kv_heads, int64_t features, int64_t columns,
                       int64_t level_rows, DType dtype, Device device)
    : lengths_(static_cast<size_t>(std::max<int64_t>(batch, 0)), 0) {
  if (batch < 0) throw ValueError(str("FixedState: batch ", batch, " must not be negative"));
  keys_.sums = Tensor(Array::zeros({batch, kv_heads, features, columns}, dtype, device));
  if (level_rows == 0) return;
  keys_.top = Tensor(Array::zeros({batch, kv_heads, level_rows, 1}, dtype, device));
  keys_.top.fill_(lowest(dtype));
}

Tensor FixedState::lengths() const { return Tensor::from(lengths_, {batch()}); }

std::vector<int64_t> FixedState::first_positions(const Mask& mask) const {
  std::vector<int64_t> first = lengths_, begin = to_integers(mask.terms().key_begin);
  for (size_t b = 0; b < begin.size() && b < first.size(); ++b) first[b] -= begin[b];
  return first;
}

void FixedState::require_batch(const char* who, const Tensor& x) const {
  if (x.rank() != 4 || x.dim(0) != batch())
    throw ShapeError(str(who, ": ", batch(), " rows expected, as the state has, got ", x.shape()));
  if (x.dtype() != keys_.sums.dtype())
    throw DTypeError(str(who, ": the state holds ", keys_.sums.dtype(), ", got ", x.dtype()));
}

void FixedState::add(const KeySums& fresh, int64_t count, const Mask& mask) {
  NoGrad guard;
  KeySums merged = merge(keys_, fresh);
  // Copies of its own, so that bytes() is what the state holds and nothing else changes it.
  keys_.sums = merged.sums.detach();
  if (merged.top.defined()) keys_.top = merged.top.detach().contiguous();
  std::vector<int64_t> begin = to_integers(mask.terms().key_begin),
                       end = to_integers(mask.terms().key_end);
  begin.resize(lengths_.size(), 0);
  end.resize(lengths_.size(), count);
  for (size_t b = 0; b < lengths_.size(); ++b) {
    int64_t first = std::clamp<int64_t>(begin[b], 0, count);
    lengths_[b] += std::clamp<int64_t>(end[b], first, count) - first;
  }
}

void FixedState::select(const Tensor& rows) {
  NoGrad guard;
  if (rows.rank() != 1) throw ShapeError(str("FixedState: rows [R] expected, got ", rows.shape()));
  std::vector<int64_t> chosen;
  for (int64_t r : to_integers(rows)) {
    if (r < 0 || r >= batch())
      throw ValueError(str("FixedState: row ", r, " asked for, the state has ", batch()));
    chosen.push_back(lengths_[static_cast<size_t>(r)]);
  }
  keys_.sums = index_select(keys_.sums, 0, rows);
  if (keys_.top.defined()) keys_.top = index_select(keys_.top, 0, rows);
  lengths_ = chosen;
}

std::unique_ptr<DecodeState> FixedState::clone() const {
  std::unique_ptr<FixedState> copy(new FixedState);
  copy->keys_.sums = keys_.sums.clone();
  if (keys_.top.defined()) copy->keys_.top = keys_.top.clone();
  copy->lengths_ = lengths_;
  return copy;
}

int64_t FixedState::bytes() const {
  return keys_.sums.array().bytes() + (keys_.top.defined() ? keys_.top.array().bytes() : 0);
}

void FixedState::to(Device device) {
  if (!(device == keys_.sums.device()))
    throw DeviceError(
        str("FixedState: moving from ", keys_.sums.device(), " to ", device, " is not supported"));
}

StateDict FixedState::save() const {
  StateDict out{{"sums", keys_.sums.clone()}, {"lengths", lengths()}};
  if (keys_.top.defined()) out["top"] = keys_.top.clone();
  return out;
}

void FixedState::load(const StateDict& state) {
  bool levels = keys_.top.defined();
  for (const char* name : {"sums", "lengths", "top"})
    if (!state.count(name) && (levels || std::string(name) != "top"))
      throw ValueError(str("FixedState: '", name, "' is missing in the saved state"));
  const Tensor &sums = state.at("sums"), &lengths = state.at("lengths");
  auto fits = [&](const Tensor& t, const Tensor& mine) {
    if (t.rank() != 4 || t.dtype() != mine.dtype() || t.dim(0) != sums.dim(0)) return false;
    for (int axis = 1; axis < 4; ++axis)
      if (t.dim(axis) != mine.dim(axis)) return false;
    return true;
  };
  bool good = fits(sums, keys_.sums) && (!levels || fits(state.at("top"), keys_.top)) &&
              lengths.rank() == 1 && lengths.dim(0) == sums.dim(0) && lengths.dtype() == DType::i64;
  std::vector<int64_t> counts;
  if (good) counts = to_integers(lengths);
  for (int64_t n : counts) good = good && n >= 0;
  if (!good)
    throw ValueError(str("FixedState: the saved state does not fit: sums ", sums.shape(),
                         ", lengths ", lengths.shape(), " for sums ", keys_.sums.shape(), " ",
                         keys_.sums.dtype()));
  keys_.sums = sums.clone().detach();
  if (levels) keys_.top = state.at("top").clone().detach();
  lengths_ = counts;
}

}  // namespace heed::nn
