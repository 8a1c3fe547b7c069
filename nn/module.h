// Module: a layer or model. Owns parameters (trained), buffers (saved, not trained) and submodules,
// all by name; names join with dots: "encoder.layers.0.linear1.weight".
//
//   struct Net : nn::Module {
//     nn::Linear l1{4, 16}, l2{16, 3};
//     Net() {
//       register_module("l1", l1);
//       register_module("l2", l2);
//     }
//     Tensor forward(const Tensor& x) {
//       auto scope = enter();
//       return l2.forward(relu(l1.forward(x)));
//     }
//   };
//
// Layers are made on the thread's default device, of its default dtype (core/device.h), and move
// from there with to().
#pragma once

#include <functional>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/tensor.h>

namespace heed::nn {

using NamedTensors = std::vector<std::pair<std::string, Tensor>>;
using StateDict = std::map<std::string, Tensor>;

class Module {
 public:
  Module() = default;
  virtual ~Module() = default;
  Module(const Module&) = delete;  // submodules are registered by address
  Module& operator=(const Module&) = delete;

  // Depth first, in order of registration. A tensor registered twice (tied) is listed once in
  // parameters() and under each of its names in named_parameters(..., true) and state_dict().
  std::vector<Tensor> parameters() const;
  NamedTensors named_parameters(bool with_tied = false) const;
  NamedTensors named_buffers() const;    // those that are saved, running ones too
  NamedTensors running_buffers() const;  // those of register_running
  const std::vector<std::pair<std::string, Module*>>& children() const { return children_; }
  // f(path, module) for this module (path "") and all below it, depth first.
  void visit(const std::function<void(const std::string& path, Module& module)>& f);
  int64_t parameter_count() const;
  Device device() const;  // of the first parameter; the CPU without any

  void train(bool on = true);  // recursively
  void eval() { train(false); }
  bool is_training() const { return training_; }
  void zero_grad() const;
  // Converts or moves parameters, gradients and buffers, recursively; to(dtype) leaves integer
  // buffers and those that are not saved as they are, and makes running ones f32 for bf16. Hooks on
  // parameters stay. Make an optimizer after the move: its state stays where it was made. A graph
  // from before it is of no more use.
  void to(DType dtype);
  void to(Device device);

  StateDict state_dict() const;  // handles, not copies; parameters and buffers
  // Copies the values in; of tied names one is enough. If any name is missing, unexpected or
  // misshapen, or tied names have different values, nothing is changed and one ValueError says how
  // many there are of each kind, and which are the first.
  void load_state_dict(const StateDict& state);

  // A table of submodules with parameter shapes and counts.
  std::string summary() const;
  virtual std::string type_name() const { return "Module"; }

  // While the scope lives, errors and anomaly reports name this module. First line of each forward.
  ModuleScope enter() const { return ModuleScope(&name_); }

 protected:
  Tensor& register_parameter(const std::string& name, Tensor& tensor);  // sets requires_grad
  // A buffer that is not saved is made anew by the constructor: it moves with the module, but is no
  // part of state_dict().
  Tensor& register_buffer(const std::string& name, Tensor& tensor, bool saved = true);
  // A saved buffer that forward changes in training, as batch norm's averages: a running statistic.
  // forward leaves it alone while recomputing() (autograd/recompute.h); the trainer takes back the
  // changes of a step that failed. In a model of bf16 it is f32.
  Tensor& register_running(const std::string& name, Tensor& tensor);
  // An empty name puts the child's names directly among this module's own.
  void register_module(const std::string& name, Module& child);

 private:
  using Entries = std::vector<std::pair<std::string, Tensor*>>;  // a name, and the member itself
  // Replaces the values of parameters, of their gradients and of these buffers by f of the tensor.
  void replace(const std::function<Array(const Tensor& tensor)>& f,
               std::initializer_list<const Entries Module::*> all_buffers);
  template <class F>
  void walk(const std::string& prefix, const Entries Module::*entries, F&& f) const;
  void visit_below(const std::string& path,
                   const std::function<void(const std::string&, Module&)>& f);

  std::string name_;
  bool training_ = true;
  Entries parameters_, buffers_, running_, unsaved_buffers_;
  std::vector<std::pair<std::string, Module*>> children_;
};

}  // namespace heed::nn
