// What a layer keeps of the past while it decodes: a cache of keys and values, a running sum, ..
#pragma once

#include <memory>

#include <heed/nn/module.h>

namespace heed::nn {

class DecodeState {
 public:
  virtual ~DecodeState() = default;
  virtual int64_t batch() const = 0;
  virtual Tensor lengths() const = 0;  // i64 [B]: keys that each row has taken in
  // Row r becomes what row rows[r] was; repeats allowed, any count (beams). rows: i64 [R].
  virtual void select(const Tensor& rows) = 0;
  virtual std::unique_ptr<DecodeState> clone() const = 0;
  virtual int64_t bytes() const = 0;  // of its memory, reserve included
  virtual void to(Device device) = 0;
  // By name, for files; load replaces everything. ValueError on missing or misshapen names.
  virtual StateDict save() const = 0;
  virtual void load(const StateDict& state) = 0;
};

}  // namespace heed::nn
