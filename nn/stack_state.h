// What a stack of layers keeps of the past while it decodes: the DecodeState of each layer.
#pragma once

#include <memory>
#include <vector>

#include <heed/nn/attention/decode_state.h>

namespace heed::nn {

// `cross` is empty in a stack without cross-attention.
struct StackState {
  std::vector<std::unique_ptr<DecodeState>> self, cross;

  int64_t batch() const { return self.front()->batch(); }
  Lengths lengths() const { return self.front()->lengths(); }  // [B]: tokens taken in
  // Row r becomes what row rows[r] was; repeats allowed. `same_memory`: rows only move among
  // those of one source sentence (beams), so the cross states can stay as they are.
  void select(const std::vector<int64_t>& rows, bool same_memory = false);
  StackState clone() const;
  void to(Device device);
  int64_t bytes() const;
  StateDict save() const;             // names "self.0.k", "cross.0.v", ..
  void load(const StateDict& state);  // into a state of the same stack
};

}  // namespace heed::nn
