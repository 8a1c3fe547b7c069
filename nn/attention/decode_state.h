// What a layer keeps of the past while it decodes: a cache of keys and values, a running sum, ..
//
// A state is a set of named tensors [B, ..] and the number of keys that each row has taken in. What
// every kind of state does with them is here; a derived kind adds how it takes keys in.
#pragma once

#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include <heed/nn/attention/mask.h>
#include <heed/nn/module.h>

namespace heed::nn {

class DecodeState {
 public:
  virtual ~DecodeState() = default;
  int64_t batch() const { return held_.size(); }
  DType dtype() const { return tensors_.begin()->second.dtype(); }
  Device device() const { return tensors_.begin()->second.device(); }
  virtual Lengths lengths() const { return held_; }  // [B]: keys that each row has taken in
  // How many of these keys are still stored: all of them, except in a ring cache.
  const Lengths& held() const { return held_; }
  // Where token 0 of `count` new ones stands in each row: as a position in the sequence, and as a
  // place among the keys that are held. Padding before the first valid token is not taken in, so
  // token 0 stands that much earlier.
  Lengths first_positions(const Mask& mask, int64_t count) const;
  Lengths first_places(const Mask& mask, int64_t count) const;

  // What fails, here and in the step or absorb of an attention variant, leaves the state as it was.
  // (A layer or stack whose step fails later on has states that took the tokens in already: go on
  // from a clone.)
  //
  // Row r becomes what row rows[r] was; repeats allowed, any count (beams). ValueError for a row
  // that is not there.
  virtual void select(const std::vector<int64_t>& rows);
  std::unique_ptr<DecodeState> clone() const;
  int64_t bytes() const;  // of its memory, reserve included
  void to(Device device);
  // By name, for files; load replaces everything. ValueError on missing or misshapen names.
  virtual StateDict save() const;
  virtual void load(const StateDict& state);

 protected:
  // Empty: every row holds 0 keys. Error messages begin with `name`. `token_axis`: the axis of the
  // tensors along which keys are stored, with a reserve after them; -1: the tensors do not grow.
  DecodeState(const char* name, int64_t batch, int token_axis = -1);
  DecodeState(const DecodeState&) = default;
  DecodeState& operator=(const DecodeState&) = default;
  virtual std::unique_ptr<DecodeState> copy() const = 0;  // a derived object's copy constructor
  // Counts the keys that the mask leaves of `count` new ones.
  void count_keys(const Mask& mask, int64_t count);
  // One integer per row, from a saved state.
  Lengths load_integers(const StateDict& state, const std::string& name, int64_t rows) const;
  [[noreturn]] void misfit(const std::string& what) const;

  const char* name_;
  int token_axis_;
  Lengths held_;
  StateDict tensors_;  // [B, ..] each, at least one, of one dtype

 private:
  friend class StepGuard;
};

// Takes back what a step did to a state if the step fails: made before the first change, it
// restores in its destructor while an exception passes. It keeps handles, not copies, so a step
// writes in place only where the state holds nothing yet.
class StepGuard {
 public:
  explicit StepGuard(DecodeState& state)
      : state_(&state), tensors_(state.tensors_), held_(state.held_) {}
  StepGuard(StepGuard&& other) noexcept
      : state_(std::exchange(other.state_, nullptr)),
        tensors_(std::move(other.tensors_)),
        held_(std::move(other.held_)),
        exceptions_(other.exceptions_) {}
  ~StepGuard();

 private:
  DecodeState* state_;  // null: the guard was moved from
  StateDict tensors_;
  Lengths held_;
  int exceptions_ = std::uncaught_exceptions();
};

}  // namespace heed::nn
