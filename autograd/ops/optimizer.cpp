#include <heed/autograd/ops/optimizer.h>

#include <heed/autograd/ops/operand.h>
#include <heed/backends/optimizer.h>

namespace heed {

namespace {

void check_state(const char* op, const char* what, const Tensor& parameter, const Tensor& state,
                 DType dtype) {
  if (!state.defined()) throw ValueError(str(op, ": ", what, " is undefined"));
  if (!(state.shape() == parameter.shape()))
    throw ShapeError(
        str(op, ": ", what, " ", state.shape(), " for a parameter ", parameter.shape()));
  if (state.dtype() != dtype)
    throw DTypeError(str(op, ": ", what, " is ", state.dtype(), ", ", dtype,
                         " expected for a parameter of ", parameter.dtype()));
}

void require_contiguous(const char* op, const char* what, const Tensor& t) {
  if (!t.array().is_contiguous())
    throw ShapeError(
        str(op, ": ", what, " ", t.shape(), " is changed in place and must be contiguous"));
}

// A state is changed in place, so it must be contiguous and fit the parameter; it is f32 for bf16.
void check_twin(const char* op, const char* what, const Tensor& parameter, const Tensor& state) {
  check_state(op, what, parameter, state, accumulate_dtype(parameter.dtype()));
  require_contiguous(op, what, state);
}

void check_step_state(const char* op, const Tensor& step_state) {
  if (step_state.dtype() != DType::f64 || !(step_state.shape() == Shape{kStepValues}) ||
      !step_state.array().is_contiguous())
    throw ShapeError(str(op, ": step state f64 [", static_cast<int>(kStepValues),
                         "] expected, got ", step_state.dtype(), " ", step_state.shape()));
}

// Returns the master's array, undefined where the parameter needs none.
Array check(const char* op, const Tensor& parameter, const Tensor& gradient, const Tensor& master,
            const Tensor& step_state) {
  require_floating(op, parameter.array());
  check_state(op, "the gradient", parameter, gradient, parameter.dtype());
  require_contiguous(op, "the parameter", parameter);
  check_step_state(op, step_state);
  if (accumulate_dtype(parameter.dtype()) == parameter.dtype()) return Array();
  check_twin(op, "the master", parameter, master);
  return master.array();
}

}  // namespace

void begin_step_(double learning_rate, const Tensor& step_state) {
  check_step_state("begin_step_", step_state);
  kernels::begin_step(learning_rate, step_state.array());
}

void mark_not_finite_(const Tensor& value, const Tensor& step_state) {
  check_step_state("mark_not_finite_", step_state);
  require_floating("mark_not_finite_", value.array());
  if (value.numel() != 1)
    throw ShapeError(str("mark_not_finite_: one element expected, got shape ", value.shape()));
  kernels::mark_not_finite(value.array(), step_state.array());
}

void set_clip_factor_(const Tensor& norm, double max_norm, const Tensor& step_state) {
  check_step_state("set_clip_factor_", step_state);
  if (norm.dtype() != DType::f64 || norm.numel() != 1)
    throw ShapeError(
        str("set_clip_factor_: norm f64 [] expected, got ", norm.dtype(), " ", norm.shape()));
  kernels::clip_factor(norm.array(), max_norm, step_state.array());
}

void restore_if_failed_(const std::vector<Tensor>& values, const std::vector<Tensor>& kept,
                        const Tensor& step_state) {
  const char* op = "restore_if_failed_";
  check_step_state(op, step_state);
  if (values.size() != kept.size())
    throw ValueError(str(op, ": ", values.size(), " tensors, but ", kept.size(), " values kept"));
  if (values.empty()) return;
  std::vector<Array> to, from;
  for (size_t i = 0; i < values.size(); ++i) {
    check_state(op, "the value kept", values[i], kept[i], values[i].dtype());
    require_contiguous(op, "the tensor", values[i]);
    to.push_back(values[i].array());
    from.push_back(packed(kept[i].array()));
  }
  kernels::restore_if_failed(to, from, step_state.array());
  for (const Array& changed : to) changed.storage().bump_version();
}

void adam_step_(const Tensor& parameter, const Tensor& gradient, const Tensor& m, const Tensor& v,
                const Tensor& step_state, const AdamSettings& s, const Tensor& master) {
  const char* op = "adam_step_";
  Array full = check(op, parameter, gradient, master, step_state);
  check_twin(op, "m", parameter, m);
  check_twin(op, "v", parameter, v);
  kernels::AdamRule rule{s.beta1, s.beta2, s.eps, s.weight_decay, s.lr_factor, s.decoupled};
  kernels::adam_step(parameter.array(), full, packed(gradient.array()), m.array(), v.array(),
                     step_state.array(), rule);
  for (const Tensor* changed : {&parameter, &m, &v}) changed->array().storage().bump_version();
  if (full.defined()) full.storage().bump_version();
}

void sgd_step_(const Tensor& parameter, const Tensor& gradient, const Tensor& buffer, bool first,
               const Tensor& step_state, const SgdSettings& s, const Tensor& master) {
  const char* op = "sgd_step_";
  Array full = check(op, parameter, gradient, master, step_state);
  bool momentum = s.momentum != 0;
  if (momentum) {
    check_twin(op, "the momentum buffer", parameter, buffer);
  } else if (s.nesterov) {
    throw ValueError(str(op, ": nesterov needs a momentum above 0"));
  }
  kernels::SgdRule rule{s.momentum, s.dampening, s.weight_decay, s.lr_factor, s.nesterov, first};
  kernels::sgd_step(parameter.array(), full, packed(gradient.array()),
                    momentum ? buffer.array() : Array(), step_state.array(), rule);
  parameter.array().storage().bump_version();
  if (momentum) buffer.array().storage().bump_version();
  if (full.defined()) full.storage().bump_version();
}

Tensor global_norm(const std::vector<Tensor>& tensors) {
  std::vector<Array> arrays;
  for (const Tensor& t : tensors) {
    if (!t.defined()) continue;
    require_floating("global_norm", t.array());
    arrays.push_back(packed(t.array()));
  }
  Array out = Array::empty({}, DType::f64, arrays.empty() ? kCpu : arrays[0].device());
  kernels::global_norm(arrays, out);
  return Tensor(out);
}

}  // namespace heed
