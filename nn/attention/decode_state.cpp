#include <heed/nn/attention/decode_state.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/index.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed::nn {

DecodeState::DecodeState(const char* name, int64_t batch, int token_axis)
    : name_(name), token_axis_(token_axis) {
  if (batch < 0) throw ValueError(str(name, ": batch ", batch, " must not be negative"));
  held_ = std::vector<int64_t>(static_cast<size_t>(batch), 0);
}

static Lengths less_left_padding(const Lengths& lengths, const Mask& mask, int64_t count) {
  Ranges fresh = mask.key_ranges(lengths.size(), count);
  std::vector<int64_t> first = lengths.values();
  for (size_t b = 0; b < first.size(); ++b) first[b] -= fresh.begin[b];
  return first;
}

Lengths DecodeState::first_positions(const Mask& mask, int64_t count) const {
  return less_left_padding(lengths(), mask, count);
}

Lengths DecodeState::first_places(const Mask& mask, int64_t count) const {
  return less_left_padding(held_, mask, count);
}

void DecodeState::count_keys(const Mask& mask, int64_t count) {
  Ranges fresh = mask.key_ranges(batch(), count);
  std::vector<int64_t> held = held_.values();
  for (size_t b = 0; b < held.size(); ++b) held[b] += fresh.end[b] - fresh.begin[b];
  held_ = held;
}

void DecodeState::select(const std::vector<int64_t>& rows) {
  NoGrad guard;
  std::vector<int64_t> held;
  bool same = static_cast<int64_t>(rows.size()) == batch();
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r] < 0 || rows[r] >= batch())
      throw ValueError(str(name_, ": row ", rows[r], " asked for, the state has ", batch()));
    same = same && rows[r] == static_cast<int64_t>(r);
    held.push_back(held_[rows[r]]);
  }
  if (same) return;
  Tensor index(plan_on(Array::from(rows, {static_cast<int64_t>(rows.size())}), device()));  // [R]
  Lengths chosen = held;
  StateDict fresh;
  for (const auto& [name, tensor] : tensors_) fresh[name] = index_select(tensor, 0, index);
  tensors_.swap(fresh);
  held_ = std::move(chosen);
}

std::unique_ptr<DecodeState> DecodeState::clone() const {
  std::unique_ptr<DecodeState> other = copy();
  for (auto& [name, tensor] : other->tensors_) tensor = tensor.clone();
  return other;
}

int64_t DecodeState::bytes() const {
  int64_t total = 0;
  for (const auto& [name, tensor] : tensors_) total += tensor.array().bytes();
  return total;
}

void DecodeState::to(Device target) {
  NoGrad guard;
  StateDict fresh;
  for (const auto& [name, tensor] : tensors_) fresh[name] = tensor.to(target);
  tensors_.swap(fresh);
}

StateDict DecodeState::save() const {
  StateDict out{{"lengths", Tensor(held_.array(kCpu))}};
  for (const auto& [name, tensor] : tensors_)
    out[name] = (token_axis_ < 0 ? tensor : tensor.slice(token_axis_, 0, held_.max())).clone();
  return out;
}

void DecodeState::misfit(const std::string& what) const {
  throw ValueError(str(name_, ": the saved state does not fit: ", what));
}

StepGuard::~StepGuard() {
  if (!state_ || std::uncaught_exceptions() == exceptions_) return;
  state_->tensors_.swap(tensors_);
  state_->held_ = std::move(held_);
}

static const Tensor& saved_tensor(const StateDict& state, const std::string& name,
                                  const char* who) {
  auto at = state.find(name);
  if (at == state.end()) throw ValueError(str(who, ": '", name, "' is missing in the saved state"));
  return at->second;
}

Lengths DecodeState::load_integers(const StateDict& state, const std::string& name,
                                   int64_t rows) const {
  const Tensor& saved = saved_tensor(state, name, name_);
  if (saved.rank() != 1 || saved.dim(0) != rows || saved.dtype() != DType::i64)
    misfit(str(name, " i64 [", rows, "] expected, got ", saved.dtype(), " ", saved.shape()));
  std::vector<int64_t> values;
  for (double x : saved.to_vector()) values.push_back(static_cast<int64_t>(x));
  for (int64_t x : values)
    if (x < 0) misfit(str(name, " has a negative number, ", x));
  return values;
}

void DecodeState::load(const StateDict& state) {
  StateDict fresh;
  int64_t rows = -1, tokens = 0;
  for (const auto& [name, mine] : tensors_) {
    Tensor saved = saved_tensor(state, name, name_);
    Shape expected = mine.shape();
    if (saved.rank() == expected.rank()) {
      if (rows < 0) {
        rows = saved.dim(0);
        if (token_axis_ >= 0) tokens = saved.dim(token_axis_);
      }
      expected[0] = rows;
      if (token_axis_ >= 0) expected[token_axis_] = tokens;
    }
    if (!(saved.shape() == expected) || saved.dtype() != mine.dtype())
      misfit(str(name, " ", mine.dtype(), " ", expected, " expected, got ", saved.dtype(), " ",
                 saved.shape()));
    fresh[name] = saved.detach().clone().to(mine.device());
  }
  Lengths lengths = load_integers(state, "lengths", rows);
  if (token_axis_ >= 0) {
    if (lengths.max() > tokens) misfit(str("lengths up to ", lengths.max(), " of ", tokens));
    // The reserve holds only zeros, whatever the file has there.
    for (auto& [name, tensor] : fresh)
      tensor = Mask::key_padding(lengths).select_keys(tensor, token_axis_);
  }
  tensors_ = std::move(fresh);
  held_ = lengths;
}

}  // namespace heed::nn
