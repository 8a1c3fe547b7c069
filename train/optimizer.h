// Optimizers: groups of parameters, their state, and the step. The arithmetic is one fused pass a
// parameter (autograd/ops/optimizer.h); learning rate, step number and clip factor stand in a small
// tensor on the parameters' device that the kernels read. All parameters are on one device. bf16
// parameters have their state in f32, with a master copy that keeps what bf16 rounds away
// ("<parameter>.master").
//
//   AdamW optimizer(model.named_parameters(), {.beta2 = 0.98, .weight_decay = 0.01});
//   loss.backward();
//   optimizer.clip_grad_norm(1.0);
//   optimizer.step(schedule(optimizer.step_count() + 1));
//   optimizer.zero_grad();
//   if (optimizer.failed_step()) ...   // now and then: a gradient was not finite, and from that
//                                      // step on nothing changes; Trainer asks by itself
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heed/autograd/ops/optimizer.h>
#include <heed/nn/module.h>

namespace heed::train {

// Parameters that share settings. `lr_factor` in the settings multiplies the step's learning rate.
template <class Settings>
struct Group {
  nn::NamedTensors parameters;
  Settings settings;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  Optimizer(const Optimizer&) = delete;
  Optimizer& operator=(const Optimizer&) = delete;

  // One update with this learning rate. Parameters without a gradient stay as they are. Uses the
  // clip factor that clip_grad_norm left, once.
  void step(double learning_rate);
  void zero_grad() const;  // gradients become undefined

  // Norm of all gradients taken together (0 without any), f64 [] on the parameters' device; the
  // next step scales them by min(1, max_norm / (norm + 1e-6)), as PyTorch does, without another
  // pass over them. A norm that is not finite makes the next step fail (below).
  Tensor clip_grad_norm(double max_norm);

  // A step fails if its loss, as told here, or the norm above is not finite: then it and all later
  // ones change nothing, neither parameters nor state, until the failure is forgotten. So the host
  // need not look after each step, and the parameters stay those of the last good one.
  void watch(const Tensor& loss) const;        // one element; of the step that comes next
  std::optional<int64_t> failed_step() const;  // reads back
  void forget_failure();                       // reads back
  // values[i] <- kept[i], on the device, if a step has failed and until that is forgotten.
  void restore_if_failed(const std::vector<Tensor>& values, const std::vector<Tensor>& kept) const;
  std::vector<std::string> bad_gradients() const;  // parameters whose gradient is not finite now

  int64_t step_count() const { return steps_; }            // calls of step
  double learning_rate() const { return learning_rate_; }  // of the last one; 0 before the first
  Device device() const { return step_state_.device(); }
  const nn::NamedTensors& parameters() const { return parameters_; }
  virtual const char* name() const = 0;  // "sgd", "adam", "adamw"

  // "step" (i64 scalar) and "<parameter>.<state>", named as in PyTorch: handles, not copies.
  nn::StateDict state_dict() const;
  // Copies the values in. All that does not fit is listed in one ValueError; nothing changes then.
  void load_state_dict(const nn::StateDict& state);
  void check_state_dict(const nn::StateDict& state) const;  // the same check alone

 protected:
  explicit Optimizer(std::vector<std::pair<nn::NamedTensors, double>> groups);  // with lr_factor

  // One parameter's moment, buffer or master copy.
  struct StateTensor {
    std::string key;  // "<parameter>.exp_avg"
    Tensor value;
    bool present = true;  // false: not saved yet, and need not be in a loaded state
    int64_t since = 0;    // the step that made it present
  };
  virtual void update(size_t index, const Tensor& parameter, const Tensor& gradient,
                      const Tensor& step_state) = 0;
  std::vector<StateTensor>& state() { return state_; }
  // Zeros like parameter `index`; f32 for bf16. Returns its place in state().
  size_t add_state(size_t index, const char* kind, bool present);
  Tensor master(size_t index) const;  // of a parameter of bf16; otherwise undefined

 private:
  double scalar(StepValue which) const;  // reads back
  void set_scalar(StepValue which, double value);
  nn::NamedTensors parameters_;
  std::vector<StateTensor> state_;
  std::vector<Tensor> masters_;  // one a parameter
  Tensor step_state_;            // [kStepValues] f64
  int64_t steps_ = 0;
  double learning_rate_ = 0;
};

class Sgd : public Optimizer {
 public:
  explicit Sgd(const nn::NamedTensors& parameters, const SgdSettings& settings = {});
  explicit Sgd(const std::vector<Group<SgdSettings>>& groups);
  const char* name() const override { return "sgd"; }

 private:
  void update(size_t, const Tensor&, const Tensor&, const Tensor&) override;
  std::vector<SgdSettings> settings_;  // one a parameter
  std::vector<int64_t> buffer_;        // its place in state(), or -1 without momentum
};

// `decoupled` of the settings is set by the class: Adam adds the decay to the gradient.
class Adam : public Optimizer {
 public:
  explicit Adam(const nn::NamedTensors& parameters, const AdamSettings& settings = {});
  explicit Adam(const std::vector<Group<AdamSettings>>& groups);
  const char* name() const override { return "adam"; }

 protected:
  Adam(const std::vector<Group<AdamSettings>>& groups, bool decoupled);

 private:
  void update(size_t, const Tensor&, const Tensor&, const Tensor&) override;
  std::vector<AdamSettings> settings_;  // one a parameter
  std::vector<size_t> moments_;         // the place of its first moment; the second is next
};

// Decay is lr * weight_decay * p, beside the gradient (Loshchilov & Hutter 2019).
class AdamW : public Adam {
 public:
  explicit AdamW(const nn::NamedTensors& parameters, const AdamSettings& settings = {});
  explicit AdamW(const std::vector<Group<AdamSettings>>& groups);
  const char* name() const override { return "adamw"; }
};

// Two groups: parameters of two axes or more (matrices, kernels, tables of embeddings) with the
// settings' decay; gains, biases and other vectors without.
std::vector<Group<AdamSettings>> decay_matrices(const nn::Module& model,
                                                const AdamSettings& settings);

}  // namespace heed::train
