// Switches of recording and checking, per thread.
#pragma once

#include <string>

namespace heed {

bool grad_enabled();
// Sets grad mode and restores the previous one at the end of the scope.
class GradMode {
 public:
  explicit GradMode(bool on);
  ~GradMode();
  GradMode(const GradMode&) = delete;

 private:
  bool before_;
};
// `NoGrad guard;` : ops in this scope are not recorded.
class NoGrad : public GradMode {
 public:
  NoGrad() : GradMode(false) {}
};

// Anomaly mode: each op checks its result and each vjp its gradients; the first value that is not
// finite is a NumericError with the op, its shapes, the module path and, in programs built with -g,
// the user's line. Slow; for finding a fault.
bool anomaly_mode();
namespace detail {
extern thread_local constinit bool anomaly;  // the same, for a quick test in each op
}
class AnomalyMode {
 public:
  AnomalyMode();
  ~AnomalyMode();
  AnomalyMode(const AnomalyMode&) = delete;

 private:
  bool before_;
};

// Names the running module in the model: "encoder.layers.0.self_attn". Modules push their names.
class ModuleScope {
 public:
  explicit ModuleScope(const std::string* name);  // must outlive the scope
  ~ModuleScope();
  ModuleScope(const ModuleScope&) = delete;
  static std::string path();

 private:
  const std::string* name_;
  ModuleScope* outer_;
};

}  // namespace heed
