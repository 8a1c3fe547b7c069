#include <heed/core/lengths.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed {

struct Lengths::State {
  explicit State(std::vector<int64_t> v) : values(std::move(v)) {}
  // The only place where the numbers are copied to a device.
  Array copy_to(Device device) const {
    return plan_on(Array::from(values, {static_cast<int64_t>(values.size())}), device);
  }

  const std::vector<int64_t> values;
  mutable std::mutex mutex;
  mutable std::vector<Array> copies;  // one per device, made at the first request
};

Lengths::Lengths(std::vector<int64_t> values)
    : state_(std::make_shared<const State>(std::move(values))) {}

Lengths::Lengths(std::initializer_list<int64_t> values) : Lengths(std::vector<int64_t>(values)) {}

const std::vector<int64_t>& Lengths::values() const {
  static const std::vector<int64_t> none;
  return state_ ? state_->values : none;
}

Array Lengths::array(Device device) const {
  if (!state_) throw ValueError("Lengths: undefined, so there is no array of it");
  std::lock_guard<std::mutex> lock(state_->mutex);
  for (const Array& copy : state_->copies)
    if (copy.device() == device) return copy;
  state_->copies.push_back(state_->copy_to(device));
  return state_->copies.back();
}

int64_t Lengths::max() const {
  const std::vector<int64_t>& v = values();
  return v.empty() ? 0 : *std::max_element(v.begin(), v.end());
}

bool Lengths::all_equal() const {
  const std::vector<int64_t>& v = values();
  return std::all_of(v.begin(), v.end(), [&](int64_t x) { return x == v[0]; });
}

Lengths Lengths::minus(int64_t n) const {
  if (!state_ || n == 0) return *this;
  std::vector<int64_t> out = values();
  for (int64_t& x : out) x -= n;
  return out;
}

bool Lengths::operator==(const Lengths& other) const {
  return state_ == other.state_ || (defined() && other.defined() && values() == other.values());
}

std::string to_string(const Lengths& lengths) {
  if (!lengths.defined()) return "undefined";
  std::string out;
  for (int64_t x : lengths.values()) out += (out.empty() ? "" : ", ") + std::to_string(x);
  return "[" + out + "]";
}

bool Ranges::whole(int64_t count) const {
  for (int64_t b = 0; b < rows(); ++b)
    if (size(b) != count) return false;
  return true;
}

static void cut_bound(const Lengths& bound, int64_t rows, int64_t count,
                      std::vector<int64_t>& out) {
  if (!bound.defined()) return;
  if (bound.size() != rows)
    throw ShapeError(str("Lengths: ", bound.size(), " numbers for a batch of ", rows, " rows"));
  for (size_t b = 0; b < out.size(); ++b) out[b] = std::clamp<int64_t>(bound.values()[b], 0, count);
}

Ranges ranges_of(const Lengths& begin, const Lengths& end, int64_t rows, int64_t count) {
  Ranges r;
  r.begin.assign(static_cast<size_t>(rows), 0);
  r.end.assign(static_cast<size_t>(rows), count);
  cut_bound(begin, rows, count, r.begin);
  cut_bound(end, rows, count, r.end);
  for (size_t b = 0; b < r.begin.size(); ++b) {
    r.end[b] = std::max(r.begin[b], r.end[b]);
    r.equal = r.equal && r.begin[b] == r.begin[0] && r.end[b] == r.end[0];
  }
  return r;
}

}  // namespace heed
