// Absolute positions, added to token embeddings. RoPE is in rope.h, ALiBi and T5's relative bias in
// position_bias.h.
#pragma once

#include <heed/core/lengths.h>
#include <heed/nn/module.h>
#include <heed/nn/table_cache.h>

namespace heed::nn {

// Vaswani et al. 2017, sine and cosine interleaved:
//   P[p, 2i] = sin(p / 10000^(2i / D)),  P[p, 2i + 1] = cos(the same).
// Computed in f64, then rounded. [length, width]
Tensor sinusoidal_table(int64_t length, int64_t width, const TensorOptions& options = {});
// Of the cells of a grid, row by row: the first half of the channels is the table above of the row,
// the second that of the column. [rows * columns, width]; ValueError unless 4 divides width.
Tensor sinusoidal_grid(int64_t rows, int64_t columns, int64_t width,
                       const TensorOptions& options = {});

class Positions : public Module {
 public:
  // x + P[start .. start + T): x [B, T, D].
  virtual Tensor forward(const Tensor& x, int64_t start = 0) const = 0;
  // x + P[first[b] + t], for rows that stand at different positions while decoding.
  virtual Tensor forward(const Tensor& x, const Lengths& first) const = 0;
};

class SinusoidalPositions : public Positions {
 public:
  explicit SinusoidalPositions(int64_t width);
  Tensor forward(const Tensor& x, int64_t start = 0) const override;
  Tensor forward(const Tensor& x, const Lengths& first) const override;
  std::string type_name() const override;

 private:
  Tensor table(int64_t length, const Tensor& like) const;
  int64_t width_;
  TableCache table_;
};

// weight [max_length, D], normal(0, 0.02) as in GPT-2. Longer sequences are a ValueError.
class LearnedPositions : public Positions {
 public:
  LearnedPositions(int64_t max_length, int64_t width);
  Tensor forward(const Tensor& x, int64_t start = 0) const override;
  Tensor forward(const Tensor& x, const Lengths& first) const override;
  std::string type_name() const override;

  Tensor weight;  // [max_length, D]

 private:
  void require_length(int64_t length) const;
};

// max(first[b] + t, 0): i64 [B, T]. Only padding stands before position 0.
Tensor position_ids(const Lengths& first, int64_t count, Device device);
// How many positions `count` tokens need that start at first[b] in row b. ShapeError (with `who`)
// unless there is a position for each of `batch` rows.
int64_t end_position(const Lengths& first, int64_t batch, int64_t count, const char* who);

}  // namespace heed::nn
