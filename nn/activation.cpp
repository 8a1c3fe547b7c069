#include <heed/nn/activation.h>

#include <utility>

#include <heed/autograd/ops/elementwise.h>
#include <heed/core/error.h>

namespace heed::nn {

static const std::vector<std::pair<std::string, Activation>>& table() {
  static const std::vector<std::pair<std::string, Activation>> entries = {
      {"relu", relu},
      {"gelu", gelu},
      {"gelu_tanh", gelu_tanh},
      {"silu", silu},
      {"elu", [](const Tensor& x) { return elu(x); }},
      {"softplus", softplus},
      {"sigmoid", sigmoid},
      {"tanh", tanh},
      {"identity", [](const Tensor& x) { return x; }},
  };
  return entries;
}

const std::vector<std::string>& activation_names() {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    for (const auto& [name, function] : table()) list.push_back(name);
    return list;
  }();
  return names;
}

Activation activation(const std::string& name) {
  std::string known;
  for (const auto& [entry, function] : table()) {
    if (entry == name) return function;
    known += (known.empty() ? "" : ", ") + entry;
  }
  throw ValueError(str("activation: unknown name '", name, "'; there are ", known));
}

}  // namespace heed::nn
