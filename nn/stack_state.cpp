#include <heed/nn/stack_state.h>

#include <heed/core/error.h>

namespace heed::nn {

using States = std::vector<std::unique_ptr<DecodeState>>;

void StackState::select(const std::vector<int64_t>& rows, bool same_memory) {
  if (same_memory && static_cast<int64_t>(rows.size()) != batch())
    throw ValueError(str("StackState: same_memory with ", rows.size(), " rows out of ", batch()));
  for (auto& state : self) state->select(rows);
  if (same_memory) return;
  for (auto& state : cross) state->select(rows);
}

StackState StackState::clone() const {
  StackState copy;
  for (const auto& state : self) copy.self.push_back(state->clone());
  for (const auto& state : cross) copy.cross.push_back(state->clone());
  return copy;
}

void StackState::to(Device device) {
  for (auto& state : self) state->to(device);
  for (auto& state : cross) state->to(device);
}

int64_t StackState::bytes() const {
  int64_t total = 0;
  for (const auto& state : self) total += state->bytes();
  for (const auto& state : cross) total += state->bytes();
  return total;
}

static void save_all(const States& states, const std::string& prefix, StateDict& out) {
  for (size_t i = 0; i < states.size(); ++i)
    for (const auto& [name, tensor] : states[i]->save())
      out[prefix + std::to_string(i) + "." + name] = tensor;
}

StateDict StackState::save() const {
  StateDict out;
  save_all(self, "self.", out);
  save_all(cross, "cross.", out);
  return out;
}

static void load_all(States& states, const std::string& prefix, const StateDict& all) {
  for (size_t i = 0; i < states.size(); ++i) {
    std::string own = prefix + std::to_string(i) + ".";
    StateDict part;
    for (auto at = all.lower_bound(own); at != all.end() && at->first.starts_with(own); ++at)
      part[at->first.substr(own.size())] = at->second;
    states[i]->load(part);
  }
}

void StackState::load(const StateDict& state) {
  load_all(self, "self.", state);
  load_all(cross, "cross.", state);
}

}  // namespace heed::nn
