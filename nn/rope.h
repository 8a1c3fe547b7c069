// Rotary positions (Su et al. 2021): channel pairs of q and k are rotated by the angle
// p * base^(-2i / D), so that q_m . k_n depends on m - n only. Two layouts exist, which differ by a
// fixed permutation of the channels; weights trained for one are wrong in the other.
#pragma once

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
};

class Rope {
 public:
  explicit Rope(int64_t head_dim,
                const RopeOptions& options = {});  // ValueError if head_dim is odd
  // x [B, H, T, D] at positions start .. start + T.
  Tensor forward(const Tensor& x, int64_t start = 0) const;
  // Row b at positions first[b] + t.
  Tensor forward(const Tensor& x, const Lengths& first) const;
  const RopeOptions& options() const { return options_; }

 private:
  Tensor table(int64_t length, const Tensor& like) const;  // [>= length, D], from f64 angles
  Tensor rotate(const Tensor& x, const Tensor& table) const;
  int64_t half_;
  RopeOptions options_;
  TableCache table_;
};

// Reorders the rows of a q or k projection's weight [H D, in] or bias [H D] for the other layout,
// so that the scores stay the same.
Tensor convert_rope_rows(const Tensor& rows, int64_t heads, RopeLayout from, RopeLayout to);

}  // namespace heed::nn
