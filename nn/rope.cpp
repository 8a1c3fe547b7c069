#include <heed/nn/rope.h>

#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/position.h>

namespace heed::nn {

Rope::Rope(int64_t head_dim, const RopeOptions& options) : half_(head_dim / 2), options_(options) {
  if (head_dim < 2 || head_dim % 2 != 0)
    throw ValueError(str("Rope: channels turn in pairs, so head_dim must be even, got ", head_dim));
  if (!(options.base > 0)) throw ValueError(str("Rope: base must be positive, got ", options.base));
  if (options.unrotated < 0)
    throw ValueError(str("Rope: ", options.unrotated, " unrotated tokens"));
  for (int64_t size : options.grid)
    if (size < 1) throw ValueError(str("Rope: a grid of ", options.grid));
  if (half_ % axes() != 0)
    throw ValueError(str("Rope: ", axes(), " axes share the pairs of channels out evenly, so ",
                         "head_dim must be a multiple of ", 2 * axes(), ", got ", head_dim));
}

// Behind the end of a grid its first axis goes on: tables are longer than they need to be.
double Rope::position(int64_t token, int axis) const {
  if (token < options_.unrotated) return 0;
  int64_t cell = token - options_.unrotated;
  for (int a = axes() - 1; a > axis; --a) cell /= options_.grid[a];
  return static_cast<double>(axis == 0 ? cell : cell % options_.grid[axis]);
}

// Angles in f64: in f32, position 100,000 times the fastest rate is off by several thousandths.
Tensor Rope::table(int64_t length, const Tensor& like) const {
  return table_.get(length, like, [this](int64_t known, DType dtype, Device device) {
    int64_t share = half_ / axes();  // pairs of an axis
    std::vector<double> values;      // of each token, all cosines and all sines
    for (int64_t t = 0; t < known; ++t)
      for (auto* f :
           {static_cast<double (*)(double)>(std::cos), static_cast<double (*)(double)>(std::sin)})
        for (int64_t i = 0; i < half_; ++i) {
          double rate =
              std::pow(options_.base, -static_cast<double>(i % share) / static_cast<double>(share));
          values.push_back(f(position(t, static_cast<int>(i / share)) * rate));
        }
    return Tensor::from(values, {known, 2 * half_}, {.dtype = dtype, .device = device});
  });
}

// (a, b) -> (a cos - b sin, a sin + b cos) for each pair of channels; cos, sin [.., T, D/2].
// `table` [.., T, D]: cos in its first half of channels, sin in the second.
Tensor Rope::rotate(const Tensor& x, const Tensor& table) const {
  int64_t d = 2 * half_;
  Tensor cos = table.slice(-1, 0, half_), sin = table.slice(-1, half_, d);
  bool interleaved = options_.layout == RopeLayout::interleaved;
  Tensor a = interleaved ? x.slice(-1, 0, d, 2) : x.slice(-1, 0, half_);  // [B, H, T, D/2]
  Tensor b = interleaved ? x.slice(-1, 1, d, 2) : x.slice(-1, half_, d);  // [B, H, T, D/2]
  Tensor rotated_a = a * cos - b * sin;                                   // [B, H, T, D/2]
  Tensor rotated_b = a * sin + b * cos;                                   // [B, H, T, D/2]
  if (!interleaved) return concat({rotated_a, rotated_b}, -1);            // [B, H, T, D]
  return stack({rotated_a, rotated_b}, -1).reshape(x.shape());            // [B, H, T, D]
}

void Rope::check(const Tensor& x, int64_t end) const {
  if (x.rank() != 4 || x.dim(3) != 2 * half_)
    throw ShapeError(str("Rope: [B, H, T, ", 2 * half_, "] expected, got ", x.shape()));
  if (options_.grid.rank() == 0) return;
  int64_t tokens = options_.unrotated + options_.grid.numel();
  if (end > tokens)
    throw ShapeError(str("Rope: at most ", tokens, " tokens expected, a grid of ", options_.grid,
                         " and ", options_.unrotated, " in front of it, got ", end));
}

Tensor Rope::forward(const Tensor& x, int64_t start) const {
  if (start < 0) throw ValueError(str("Rope: position ", start, " is negative"));
  int64_t end = start + (x.rank() == 4 ? x.dim(2) : 0);
  check(x, end);
  return rotate(x, table(end, x).slice(0, start, end));
}

Tensor Rope::forward(const Tensor& x, const Lengths& first) const {
  check(x, 0);
  int64_t end = end_position(first, x.dim(0), x.dim(2), "Rope");
  check(x, end);
  Tensor ids = position_ids(first, x.dim(2), x.device());        // [B, T]
  return rotate(x, embedding(table(end, x), ids).unsqueeze(1));  // [B, 1, T, D]
}

Tensor convert_rope_rows(const Tensor& rows, int64_t heads, RopeLayout from, RopeLayout to) {
  if (heads < 1 || rows.rank() < 1 || rows.dim(0) % (2 * heads) != 0)
    throw ShapeError(str("convert_rope_rows: rows of ", heads,
                         " heads of even width expected, got ", rows.shape()));
  if (from == to) return rows;
  int64_t d = rows.dim(0) / heads;
  std::vector<int64_t> source;
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < d; ++i) {
      // Row i of the new layout comes from the channel with the same role in the old one.
      int64_t old =
          to == RopeLayout::half_split ? i % (d / 2) * 2 + i / (d / 2) : i % 2 * (d / 2) + i / 2;
      source.push_back(h * d + old);
    }
  return index_select(rows, 0, source);
}

}  // namespace heed::nn
