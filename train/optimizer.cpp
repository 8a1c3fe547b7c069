#include <heed/train/optimizer.h>

#include <algorithm>
#include <cmath>
#include <set>

#include <heed/core/error.h>

namespace heed::train {

namespace {
template <class Settings>
std::vector<std::pair<nn::NamedTensors, double>> with_factor(
    const std::vector<Group<Settings>>& groups) {
  std::vector<std::pair<nn::NamedTensors, double>> out;
  for (const Group<Settings>& group : groups)
    out.emplace_back(group.parameters, group.settings.lr_factor);
  return out;
}

void check(bool good, const char* optimizer, const char* setting, double value,
           const char* expected) {
  if (!good)
    throw ValueError(str(optimizer, ": ", setting, " ", expected, " expected, got ", value));
}

bool all_finite(const Tensor& tensor) { return std::isfinite(global_norm({tensor}).item()); }
}  // namespace

Optimizer::Optimizer(std::vector<std::pair<nn::NamedTensors, double>> groups) {
  std::set<std::string> names;
  std::set<const TensorImpl*> tensors;
  for (const auto& [parameters, factor] : groups) {
    check(std::isfinite(factor) && factor >= 0, "optimizer", "lr_factor", factor, ">= 0");
    for (const auto& [name, parameter] : parameters) {
      if (!parameter.requires_grad() || !parameter.is_leaf())
        throw ValueError(
            str("optimizer: ", name, " is no parameter: it does not require gradients"));
      if (!names.insert(name).second)
        throw ValueError(str("optimizer: two parameters named ", name));
      if (!tensors.insert(parameter.impl()).second)
        throw ValueError(str("optimizer: ", name, " is listed twice, under another name too"));
      parameters_.emplace_back(name, parameter);
    }
  }
  if (parameters_.empty()) throw ValueError("optimizer: no parameters");
  Device device = parameters_[0].second.device();
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto& [name, parameter] = parameters_[i];
    if (!(parameter.device() == device))
      throw DeviceError(str("optimizer: ", parameters_[0].first, " is on ", to_string(device), ", ",
                            name, " on ", to_string(parameter.device())));
    masters_.emplace_back();
    if (parameter.dtype() != DType::bf16) continue;
    const StateTensor& copy = state_[add_state(i, "master", true)];
    masters_.back() = copy.value;
    copy.value.copy_(parameter);
  }
  step_state_ = zeros({kStepValues}, {.dtype = DType::f64, .device = device});
  set_scalar(kGradScale, 1);
}

double Optimizer::scalar(StepValue which) const { return step_state_[which].item(); }
void Optimizer::set_scalar(StepValue which, double value) { step_state_[which].fill_(value); }

size_t Optimizer::add_state(size_t index, const char* kind, bool present) {
  const auto& [name, parameter] = parameters_[index];
  DType dtype = accumulate_dtype(parameter.dtype());
  state_.push_back({str(name, ".", kind), parameter.new_zeros(parameter.shape(), dtype), present});
  return state_.size() - 1;
}

Tensor Optimizer::master(size_t index) const { return masters_[index]; }

void Optimizer::step(double learning_rate) {
  if (!std::isfinite(learning_rate) || learning_rate < 0)
    throw ValueError(str(name(), ": learning rate >= 0 expected, got ", learning_rate));
  ++steps_;
  learning_rate_ = learning_rate;
  begin_step_(learning_rate, step_state_);
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& parameter = parameters_[i].second;
    if (Tensor gradient = parameter.grad(); gradient.defined())
      update(i, parameter, gradient, step_state_);
  }
  set_scalar(kGradScale, 1);
}

void Optimizer::zero_grad() const {
  for (const auto& [name, parameter] : parameters_) parameter.zero_grad();
}

Tensor Optimizer::clip_grad_norm(double max_norm) {
  if (!(max_norm > 0))
    throw ValueError(str("clip_grad_norm: max_norm > 0 expected, got ", max_norm));
  std::vector<Tensor> gradients;
  for (const auto& [name, parameter] : parameters_)
    if (Tensor gradient = parameter.grad(); gradient.defined())
      gradients.push_back(std::move(gradient));
  Tensor norm = gradients.empty() ? step_state_.new_zeros({}) : global_norm(gradients);
  set_clip_factor_(norm, max_norm, step_state_);
  return norm;
}

void Optimizer::watch(const Tensor& loss) const { mark_not_finite_(loss, step_state_); }

std::optional<int64_t> Optimizer::failed_step() const {
  double step = scalar(kFailedStep);
  return step > 0 ? std::optional<int64_t>(static_cast<int64_t>(step)) : std::nullopt;
}

void Optimizer::restore_if_failed(const std::vector<Tensor>& values,
                                  const std::vector<Tensor>& kept) const {
  restore_if_failed_(values, kept, step_state_);
}

void Optimizer::forget_failure() {
  set_scalar(kFailedStep, 0);
  set_scalar(kGradScale, 1);
  steps_ = static_cast<int64_t>(scalar(kStepNumber));
  for (StateTensor& mine : state_) mine.present = mine.present && mine.since <= steps_;
}

std::vector<std::string> Optimizer::bad_gradients() const {
  std::vector<std::string> names;
  for (const auto& [name, parameter] : parameters_)
    if (Tensor gradient = parameter.grad(); gradient.defined() && !all_finite(gradient))
      names.push_back(name);
  return names;
}

nn::StateDict Optimizer::state_dict() const {
  nn::StateDict state;
  auto done = static_cast<int64_t>(scalar(kStepNumber));  // not those that failed
  state.emplace("step", Tensor(Array::from<int64_t>({done}, {})));
  for (const StateTensor& mine : state_)
    if (mine.present && mine.since <= done) state.emplace(mine.key, mine.value);
  return state;
}

void Optimizer::check_state_dict(const nn::StateDict& state) const {
  std::string problems;
  auto complain = [&](const std::string& text) { problems += "\n  " + text; };
  auto step = state.find("step");
  if (step == state.end()) complain("missing: step");
  else if (step->second.dtype() != DType::i64 || step->second.numel() != 1 ||
           step->second.item() < 0)
    complain("step: one i64 >= 0 expected");
  size_t known = step != state.end();
  for (const StateTensor& mine : state_) {
    auto it = state.find(mine.key);
    if (it == state.end()) {
      if (mine.present || !mine.key.ends_with(".momentum_buffer")) complain("missing: " + mine.key);
      continue;
    }
    ++known;
    const Tensor& value = it->second;
    if (value.shape() != mine.value.shape() || value.dtype() != mine.value.dtype())
      complain(str(mine.key, ": ", mine.value.dtype(), " ", mine.value.shape(), " expected, got ",
                   value.dtype(), " ", value.shape()));
  }
  if (known != state.size()) {
    std::set<std::string> keys{"step"};
    for (const StateTensor& mine : state_) keys.insert(mine.key);
    for (const auto& [key, value] : state)
      if (!keys.contains(key)) complain("unexpected: " + key);
  }
  if (!problems.empty())
    throw ValueError(
        str(name(), ": this is not the state of an optimizer over these parameters:", problems));
}

void Optimizer::load_state_dict(const nn::StateDict& state) {
  check_state_dict(state);
  NoGrad guard;
  for (StateTensor& mine : state_) {
    auto it = state.find(mine.key);
    mine.present = it != state.end();
    mine.since = 0;
    if (mine.present) mine.value.copy_(it->second);
    else mine.value.fill_(0);
  }
  steps_ = static_cast<int64_t>(state.at("step").item());
  set_scalar(kStepNumber, static_cast<double>(steps_));
  set_scalar(kFailedStep, 0);
  set_scalar(kGradScale, 1);
}

Sgd::Sgd(const nn::NamedTensors& parameters, const SgdSettings& settings)
    : Sgd(std::vector<Group<SgdSettings>>{{parameters, settings}}) {}

Sgd::Sgd(const std::vector<Group<SgdSettings>>& groups) : Optimizer(with_factor(groups)) {
  for (const auto& [parameters, s] : groups) {
    check(s.momentum >= 0 && s.momentum < 1, "sgd", "momentum", s.momentum, "in [0, 1)");
    check(s.weight_decay >= 0, "sgd", "weight_decay", s.weight_decay, ">= 0");
    if (s.nesterov && (s.momentum == 0 || s.dampening != 0))
      throw ValueError("sgd: nesterov needs a momentum above 0 and a dampening of 0");
    for (size_t i = 0; i < parameters.size(); ++i) {
      size_t index = settings_.size();
      settings_.push_back(s);
      bool buffered = s.momentum > 0;
      buffer_.push_back(buffered ? static_cast<int64_t>(add_state(index, "momentum_buffer", false))
                                 : -1);
    }
  }
}

void Sgd::update(size_t index, const Tensor& parameter, const Tensor& gradient,
                 const Tensor& step_state) {
  if (buffer_[index] < 0)
    return sgd_step_(parameter, gradient, Tensor(), false, step_state, settings_[index],
                     master(index));
  StateTensor& buffer = state()[static_cast<size_t>(buffer_[index])];
  sgd_step_(parameter, gradient, buffer.value, !buffer.present, step_state, settings_[index],
            master(index));
  if (!buffer.present) buffer.since = step_count();
  buffer.present = true;
}

Adam::Adam(const nn::NamedTensors& parameters, const AdamSettings& settings)
    : Adam(std::vector<Group<AdamSettings>>{{parameters, settings}}, false) {}
Adam::Adam(const std::vector<Group<AdamSettings>>& groups) : Adam(groups, false) {}

Adam::Adam(const std::vector<Group<AdamSettings>>& groups, bool decoupled)
    : Optimizer(with_factor(groups)) {
  const char* name = decoupled ? "adamw" : "adam";
  for (auto [parameters, s] : groups) {
    check(s.beta1 >= 0 && s.beta1 < 1, name, "beta1", s.beta1, "in [0, 1)");
    check(s.beta2 >= 0 && s.beta2 < 1, name, "beta2", s.beta2, "in [0, 1)");
    check(s.eps > 0, name, "eps", s.eps, "> 0");
    check(s.weight_decay >= 0, name, "weight_decay", s.weight_decay, ">= 0");
    s.decoupled = decoupled;
    for (size_t i = 0; i < parameters.size(); ++i) {
      settings_.push_back(s);
      moments_.push_back(add_state(settings_.size() - 1, "exp_avg", true));
      add_state(settings_.size() - 1, "exp_avg_sq", true);
    }
  }
}

void Adam::update(size_t index, const Tensor& parameter, const Tensor& gradient,
                  const Tensor& step_state) {
  size_t first = moments_[index];
  adam_step_(parameter, gradient, state()[first].value, state()[first + 1].value, step_state,
             settings_[index], master(index));
}

AdamW::AdamW(const nn::NamedTensors& parameters, const AdamSettings& settings)
    : Adam(std::vector<Group<AdamSettings>>{{parameters, settings}}, true) {}
AdamW::AdamW(const std::vector<Group<AdamSettings>>& groups) : Adam(groups, true) {}

std::vector<Group<AdamSettings>> decay_matrices(const nn::Module& model,
                                                const AdamSettings& settings) {
  Group<AdamSettings> matrices{{}, settings}, others{{}, settings};
  others.settings.weight_decay = 0;
  for (const auto& named : model.named_parameters())
    (named.second.rank() >= 2 ? matrices : others).parameters.push_back(named);
  std::vector<Group<AdamSettings>> groups;
  if (!matrices.parameters.empty()) groups.push_back(std::move(matrices));
  if (!others.parameters.empty()) groups.push_back(std::move(others));
  return groups;
}

}  // namespace heed::train
