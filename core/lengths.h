// Lengths: one integer per row of a batch, such as a length, a bound, a first position, an offset.
//
//   Lengths lengths{5, 3, 9};
//   lengths[1];              // 3
//   lengths.array(kCpu);     // i64 [3], for kernels
//
// The numbers live on the host, where layers plan with them. A kernel gets a copy on its device,
// made at first use and kept; nothing is ever read back from there. Copies of a Lengths share both.
// Lengths() is undefined and means that there is no such bound.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed {

class Lengths {
 public:
  Lengths() = default;
  Lengths(std::vector<int64_t> values);
  Lengths(std::initializer_list<int64_t> values);

  bool defined() const { return static_cast<bool>(state_); }
  int64_t size() const { return static_cast<int64_t>(values().size()); }  // 0 where undefined
  const std::vector<int64_t>& values() const;                             // empty where undefined
  int64_t operator[](int64_t row) const { return values()[static_cast<size_t>(row)]; }
  Array array(Device device) const;  // i64 [size]; ValueError where undefined

  int64_t max() const;             // 0 without rows
  bool all_equal() const;          // true without rows
  Lengths minus(int64_t n) const;  // every number less n; undefined stays undefined
  bool operator==(const Lengths& other) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

std::string to_string(const Lengths& lengths);  // "[5, 3, 9]", or "undefined"

// The tokens [begin[b], end[b]) of each row b, 0 <= begin <= end <= count.
struct Ranges {
  std::vector<int64_t> begin, end;
  bool equal = true;  // the same in every row

  int64_t rows() const { return static_cast<int64_t>(begin.size()); }
  int64_t size(int64_t row) const {
    return end[static_cast<size_t>(row)] - begin[static_cast<size_t>(row)];
  }
  bool whole(int64_t count) const;  // every row keeps all `count` tokens
};
// The tokens that two bounds leave, for `rows` rows of `count` tokens; an undefined bound cuts
// nothing off. ShapeError unless a defined one has a number for each row.
Ranges ranges_of(const Lengths& begin, const Lengths& end, int64_t rows, int64_t count);

}  // namespace heed
