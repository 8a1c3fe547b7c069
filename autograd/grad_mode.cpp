#include <heed/autograd/grad_mode.h>

namespace heed {

namespace {
thread_local constinit bool recording = true;
thread_local constinit ModuleScope* module_scope = nullptr;
}  // namespace

thread_local constinit bool detail::anomaly = false;

bool grad_enabled() { return recording; }
GradMode::GradMode(bool on) : before_(recording) { recording = on; }
GradMode::~GradMode() { recording = before_; }

bool anomaly_mode() { return detail::anomaly; }
AnomalyMode::AnomalyMode() : before_(detail::anomaly) { detail::anomaly = true; }
AnomalyMode::~AnomalyMode() { detail::anomaly = before_; }

ModuleScope::ModuleScope(const std::string* name) : name_(name), outer_(module_scope) {
  module_scope = this;
}
ModuleScope::~ModuleScope() { module_scope = outer_; }
std::string ModuleScope::path() {
  std::string path;
  for (ModuleScope* scope = module_scope; scope; scope = scope->outer_)
    if (!scope->name_->empty()) path = path.empty() ? *scope->name_ : *scope->name_ + "." + path;
  return path;
}

}  // namespace heed
