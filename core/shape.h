// Shape: the sizes of an array, rank 0 to 8, held without allocation. Strides use the same type,
// in elements. Axes may be negative, counted from the end.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

namespace heed {

inline constexpr int kMaxRank = 8;

class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes);
  Shape(const int64_t* sizes, int rank);
  static Shape filled(int rank, int64_t value);

  int rank() const { return rank_; }
  int64_t numel() const {  // product; 1 for rank 0
    int64_t n = 1;
    for (int i = 0; i < rank_; ++i) n *= sizes_[i];
    return n;
  }
  int64_t operator[](int i) const { return sizes_[i]; }  // 0 <= i < rank
  int64_t& operator[](int i) { return sizes_[i]; }
  int64_t dim(int axis) const;  // axis may be negative; ShapeError when out of range
  const int64_t* begin() const { return sizes_; }
  const int64_t* end() const { return sizes_ + rank_; }

  void push_back(int64_t size);         // ShapeError beyond kMaxRank
  void insert(int axis, int64_t size);  // 0 <= axis <= rank
  void erase(int axis);                 // 0 <= axis < rank
  bool operator==(const Shape& other) const;

 private:
  int64_t sizes_[kMaxRank] = {};
  int rank_ = 0;
};

using Strides = Shape;

std::string to_string(const Shape& shape);  // "[2, 3]"

Strides row_major(const Shape& shape);
// NumPy's rule: aligned at the end, sizes equal or 1. `op` names the caller in the ShapeError.
Shape broadcast(const Shape& a, const Shape& b, const char* op);
bool broadcastable_to(const Shape& from, const Shape& to);
// 0 <= result < rank, or ShapeError naming `op`.
int normalize_axis(int64_t axis, int rank, const char* op);

}  // namespace heed
