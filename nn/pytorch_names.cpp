#include <heed/nn/pytorch_names.h>

#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/batch_norm.h>
#include <heed/nn/multi_head_attention.h>

namespace heed::nn {

namespace {

const char* const kProjections[3] = {"q_proj", "k_proj", "v_proj"};

// The paths of all MultiHeadAttention modules, each with a trailing dot ("" at the root).
std::vector<std::pair<std::string, const MultiHeadAttention*>> attentions(Module& root) {
  std::vector<std::pair<std::string, const MultiHeadAttention*>> list;
  root.visit([&](const std::string& path, Module& module) {
    if (auto* attention = dynamic_cast<MultiHeadAttention*>(&module))
      list.emplace_back(path.empty() ? "" : path + ".", attention);
  });
  return list;
}

// packed [3 n, ..] -> the three parts.
void unpack(StateDict& state, const std::string& prefix, const char* packed, const char* part) {
  auto found = state.find(prefix + packed);
  if (found == state.end()) return;
  Tensor all = found->second.detach();
  if (all.rank() < 1 || all.dim(0) % 3 != 0)
    throw ValueError(
        str("from_pytorch: ", prefix, packed, " ", all.shape(), " does not divide into 3"));
  state.erase(found);
  int64_t rows = all.dim(0) / 3;
  for (int64_t i = 0; i < 3; ++i)
    state[prefix + kProjections[i] + part] = all.slice(0, i * rows, (i + 1) * rows);
}

void rename(StateDict& state, const std::string& from, const std::string& to) {
  auto found = state.find(from);
  if (found == state.end()) return;
  state[to] = found->second;
  state.erase(from);
}

// Of all twins, from the root down, with the paths from the root.
std::vector<std::vector<PyTorchName>> twins(Module& root) {
  std::vector<std::vector<PyTorchName>> list;
  root.visit([&](const std::string& path, Module& module) {
    auto* twin = dynamic_cast<PyTorchTwin*>(&module);
    if (!twin) return;
    list.push_back(twin->pytorch_names());
    if (path.empty()) return;
    for (PyTorchName& name : list.back()) {
      name.ours = path + "." + name.ours;
      name.theirs = path + "." + name.theirs;
    }
  });
  return list;
}

// A weight [out, in] as that of a convolution of size 1, or back.
Tensor with_unit_axes(Tensor weight, int axes) {
  NoGrad guard;
  if (weight.rank() == 2)
    for (int i = 0; i < axes; ++i) weight = weight.unsqueeze(-1);
  return weight;
}
Tensor without_unit_axes(Tensor weight) {
  NoGrad guard;
  while (weight.rank() > 2 && weight.dim(-1) == 1) weight = weight.squeeze(-1);
  return weight;
}

// Each entry at or below the path `from` of one of the pairs, once.
StateDict moved(const StateDict& state, const std::vector<PyTorchName>& names,
                std::string PyTorchName::*from, std::string PyTorchName::*to) {
  StateDict out;
  for (const auto& [name, value] : state) {
    std::string now = name;
    Tensor tensor = value;
    for (const PyTorchName& pair : names) {
      const std::string& path = pair.*from;
      if (!name.starts_with(path) || !(name.size() == path.size() || name[path.size()] == '.'))
        continue;
      now = pair.*to + name.substr(path.size());
      if (pair.unit_axes > 0)
        tensor = from == &PyTorchName::ours ? with_unit_axes(tensor, pair.unit_axes)
                                            : without_unit_axes(tensor);
      break;
    }
    if (!out.emplace(now, tensor).second)
      throw ValueError(str("from_pytorch: ", now, " is there under two names"));
  }
  return out;
}

// PyTorch before 0.4.1 did not count batches.
void count_batches(StateDict& state, Module& root) {
  root.visit([&](const std::string& path, Module& module) {
    auto* norm = dynamic_cast<BatchNorm*>(&module);
    const std::string prefix = path.empty() ? "" : path + ".";
    if (norm && norm->num_batches_tracked.defined() && state.count(prefix + "running_mean"))
      state.emplace(prefix + "num_batches_tracked", norm->num_batches_tracked.clone());
  });
}

}  // namespace

StateDict from_pytorch(const StateDict& input, Module& module) {
  StateDict state = input;
  for (const auto& names : twins(module))
    state = moved(state, names, &PyTorchName::theirs, &PyTorchName::ours);
  for (const auto& [prefix, attention] : attentions(module)) {
    for (const char* name : {"bias_k", "bias_v"})
      if (state.count(prefix + name))
        throw ValueError(str("from_pytorch: ", prefix, name, ": add_bias_kv is not supported"));
    unpack(state, prefix, "in_proj_weight", ".weight");
    unpack(state, prefix, "in_proj_bias", ".bias");
    for (const char* p : kProjections)
      rename(state, prefix + p + "_weight", prefix + p + ".weight");
  }
  count_batches(state, module);
  return state;
}

StateDict to_pytorch(Module& module) {
  StateDict state = module.state_dict();
  NoGrad guard;
  for (const auto& [prefix, attention] : attentions(module)) {
    if (attention->kv_heads() != attention->heads() || !attention->k_proj)
      throw ValueError(str("to_pytorch: ", prefix.empty() ? "the module" : prefix, " has ",
                           attention->kv_heads(), " key heads for ", attention->heads(),
                           " heads, or shares its key projection: nn.MultiheadAttention cannot"));
    std::vector<Tensor> weights, biases;
    for (const char* p : kProjections) {
      weights.push_back(state.at(prefix + p + ".weight"));
      auto bias = state.find(prefix + p + ".bias");
      if (bias != state.end()) biases.push_back(bias->second);
    }
    bool packed =
        weights[0].shape() == weights[1].shape() && weights[0].shape() == weights[2].shape();
    for (int i = 0; i < 3; ++i) {
      state.erase(prefix + kProjections[i] + ".weight");
      state.erase(prefix + kProjections[i] + ".bias");
      if (!packed) state[prefix + kProjections[i] + "_weight"] = weights[static_cast<size_t>(i)];
    }
    if (packed) state[prefix + "in_proj_weight"] = concat(weights, 0);        // [3 d, d]
    if (!biases.empty()) state[prefix + "in_proj_bias"] = concat(biases, 0);  // [3 d]
  }
  auto all = twins(module);
  for (auto names = all.rbegin(); names != all.rend(); ++names)  // the inner ones first
    state = moved(state, *names, &PyTorchName::ours, &PyTorchName::theirs);
  return state;
}

}  // namespace heed::nn
