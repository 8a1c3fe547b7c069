#include <heed/train/schedule.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <numbers>
#include <vector>

#include <heed/core/error.h>

namespace heed::train {

namespace {
// Which kind has which options: the one list behind parsing, printing and error messages.
struct Option {
  const char* name;
  int64_t Schedule::*integer;
  double Schedule::*number;
};
constexpr Option kLr{"lr", nullptr, &Schedule::lr}, kWarmup{"warmup", &Schedule::warmup, nullptr},
    kSteps{"steps", &Schedule::steps, nullptr}, kMin{"min", nullptr, &Schedule::min},
    kEvery{"every", &Schedule::every, nullptr}, kFactor{"factor", nullptr, &Schedule::factor};

struct Row {
  Schedule::Kind kind;
  const char* name;
  std::vector<Option> options;
};
const std::vector<Row>& rows() {
  static const std::vector<Row> rows{
      {Schedule::Kind::constant, "constant", {kLr, kWarmup}},
      {Schedule::Kind::inverse_sqrt, "inverse_sqrt", {kLr, kWarmup}},
      {Schedule::Kind::cosine, "cosine", {kLr, kSteps, kWarmup, kMin}},
      {Schedule::Kind::step, "step", {kLr, kEvery, kFactor, kWarmup}}};
  return rows;
}

const Row& row_of(const Schedule& schedule) {
  for (const Row& row : rows())
    if (row.kind == schedule.kind) return row;
  throw ValueError(str("schedule: no kind ", static_cast<int>(schedule.kind)));
}

int64_t peak_of(const Schedule& schedule) { return std::max<int64_t>(schedule.warmup, 1); }

template <class T>
T parse_number(std::string_view text, std::string_view spec, std::string_view option) {
  T value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    throw ValueError(str("schedule '", spec, "': ", option, "=", text, " is no number"));
  return value;
}

void check(const Schedule& s) {
  auto require = [&](bool good, const char* what) {
    if (!good) throw ValueError(str("schedule ", to_string(s), ": ", what));
  };
  require(std::isfinite(s.lr) && s.lr >= 0, "lr >= 0 expected");
  row_of(s);
  require(s.warmup >= 0, "warmup >= 0 expected");
  if (s.kind == Schedule::Kind::cosine) {
    require(s.steps >= peak_of(s), "steps >= warmup and >= 1 expected");
    require(std::isfinite(s.min) && s.min >= 0, "min >= 0 expected");
  }
  if (s.kind == Schedule::Kind::step) {
    require(s.every >= 1, "every >= 1 expected");
    require(std::isfinite(s.factor) && s.factor >= 0, "factor >= 0 expected");
  }
}

Schedule checked(const Schedule& schedule) {
  check(schedule);
  return schedule;
}
}  // namespace

double Schedule::operator()(int64_t step) const {
  if (step < 1) throw ValueError(str("schedule: step >= 1 expected, got ", step));
  if (step < warmup) return lr * static_cast<double>(step) / static_cast<double>(warmup);
  const int64_t peak = peak_of(*this);
  switch (kind) {  // without a default: the compiler names a kind that is missing
    case Kind::constant: return lr;
    case Kind::inverse_sqrt:
      return lr * std::sqrt(static_cast<double>(peak) / static_cast<double>(step));
    case Kind::cosine: {
      if (step > steps) return min;
      double x = static_cast<double>(step - peak) / static_cast<double>(steps - peak + 1);
      return min + (lr - min) * 0.5 * (1 + std::cos(std::numbers::pi * x));
    }
    case Kind::step: return lr * std::pow(factor, static_cast<double>((step - peak) / every));
  }
  row_of(*this);  // throws
  return lr;
}

Schedule constant_schedule(double lr, int64_t warmup) {
  return checked({.kind = Schedule::Kind::constant, .lr = lr, .warmup = warmup});
}
Schedule inverse_sqrt_schedule(double lr, int64_t warmup) {
  return checked({.kind = Schedule::Kind::inverse_sqrt, .lr = lr, .warmup = warmup});
}
Schedule cosine_schedule(double lr, int64_t steps, int64_t warmup, double min) {
  return checked(
      {.kind = Schedule::Kind::cosine, .lr = lr, .warmup = warmup, .steps = steps, .min = min});
}
Schedule step_schedule(double lr, int64_t every, double factor, int64_t warmup) {
  return checked(
      {.kind = Schedule::Kind::step, .lr = lr, .warmup = warmup, .every = every, .factor = factor});
}

std::string schedule_names() {
  std::string names;
  for (const Row& row : rows()) names += str(names.empty() ? "" : ", ", row.name);
  return names;
}

Schedule parse_schedule(std::string_view spec, double lr) {
  Schedule defaults{.lr = lr};
  if (spec.starts_with("inverse_sqrt")) defaults.warmup = 4000;
  return parse_schedule(spec, defaults);
}

Schedule parse_schedule(std::string_view spec, const Schedule& defaults) {
  std::string_view name = spec.substr(0, spec.find(':'));
  const Row* row = nullptr;
  for (const Row& r : rows())
    if (name == r.name) row = &r;
  if (!row)
    throw ValueError(
        str("schedule '", spec, "': no schedule named '", name, "'; there are ", schedule_names()));

  Schedule schedule = defaults;
  schedule.kind = row->kind;
  std::string_view rest = spec.substr(std::min(name.size() + 1, spec.size()));
  while (!rest.empty()) {
    std::string_view item = rest.substr(0, rest.find(','));
    rest = rest.substr(std::min(item.size() + 1, rest.size()));
    size_t equals = item.find('=');
    std::string_view key = item.substr(0, equals);
    std::string_view value = equals == item.npos ? std::string_view() : item.substr(equals + 1);
    const Option* option = nullptr;
    std::string keys;
    for (const Option& o : row->options) {
      if (key == o.name) option = &o;
      keys += str(keys.empty() ? "" : ", ", o.name);
    }
    if (!option)
      throw ValueError(str("schedule '", spec, "': no option '", key, "'; ", name, " has ", keys));
    if (option->integer) schedule.*option->integer = parse_number<int64_t>(value, spec, key);
    else schedule.*option->number = parse_number<double>(value, spec, key);
  }
  return checked(schedule);
}

std::string to_string(const Schedule& schedule) {
  const Row& row = row_of(schedule);
  std::string out = row.name;
  char separator = ':';
  for (const Option& o : row.options) {
    out += str(separator, o.name, "=");
    out += o.integer ? str(schedule.*o.integer) : str(schedule.*o.number);
    separator = ',';
  }
  return out;
}

}  // namespace heed::train
