// Rotary positions (Su et al. 2021): channel pairs of q and k are rotated by the angle
// p * base^(-2i / D), so that q_m . k_n depends on m - n only. Two layouts exist, which differ by a
// fixed permutation of the channels; weights trained for one are wrong in the other.
//
// On a grid, such as the patches of a picture, the axes share the pairs out evenly, in order: with
// n axes, pair i of an axis' D / 2n turns by its coordinate * base^(-2n i / D), so that q . k
// depends on the distance along each axis only (Heo et al. 2024, arXiv 2403.13298, "axial"; base
// 100 there).
#pragma once

#include <algorithm>

#include <heed/core/lengths.h>
#include <heed/nn/module.h>
#include <heed/nn/table_cache.h>

namespace heed::nn {

enum class RopeLayout {
  interleaved,  // pairs (0, 1), (2, 3), ..: the paper, GPT-J
  half_split,   // pairs (0, D/2), (1, D/2 + 1), ..: Llama in transformers, GPT-NeoX
};

struct RopeOptions {
  double base = 10000;
  RopeLayout layout = RopeLayout::half_split;
  // {rows, columns}, or more axes: tokens are the cells, the last axis fastest. Empty: a sequence.
  Shape grid{};
  int64_t unrotated = 0;  // tokens in front that have no position, such as a class token
};

class Rope {
 public:
  // ValueError: an odd head_dim, or one whose pairs the axes of a grid cannot share out evenly.
  explicit Rope(int64_t head_dim, const RopeOptions& options = {});
  // x [B, H, T, D], tokens start .. start + T. ShapeError behind the end of a grid.
  Tensor forward(const Tensor& x, int64_t start = 0) const;
  // Row b: tokens first[b] + t.
  Tensor forward(const Tensor& x, const Lengths& first) const;
  const RopeOptions& options() const { return options_; }

 private:
  Tensor table(int64_t length, const Tensor& like) const;  // [>= length, D], from f64 angles
  int axes() const { return std::max(options_.grid.rank(), 1); }
  double position(int64_t token, int axis) const;
  void check(const Tensor& x, int64_t end) const;
  Tensor rotate(const Tensor& x, const Tensor& table) const;
  int64_t half_;
  RopeOptions options_;
  TableCache table_;
};

// Reorders the rows of a q or k projection's weight [H D, in] or bias [H D] for the other layout,
// so that the scores stay the same.
Tensor convert_rope_rows(const Tensor& rows, int64_t heads, RopeLayout from, RopeLayout to);

}  // namespace heed::nn
