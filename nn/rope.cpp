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
}

// Angles in f64: in f32, position 100,000 times the fastest rate is off by several thousandths.
Tensor Rope::table(int64_t length, const Tensor& like) const {
  return table_.get(length, like, [this](int64_t known, DType dtype, Device device) {
    std::vector<double> values;  // of each position, all cosines and all sines
    for (int64_t p = 0; p < known; ++p)
      for (auto* f :
           {static_cast<double (*)(double)>(std::cos), static_cast<double (*)(double)>(std::sin)})
        for (int64_t i = 0; i < half_; ++i) {
          double rate =
              std::pow(options_.base, -static_cast<double>(i) / static_cast<double>(half_));
          values.push_back(f(static_cast<double>(p) * rate));
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

static void check(const Tensor& x, int64_t head_dim) {
  if (x.rank() != 4 || x.dim(3) != head_dim)
    throw ShapeError(str("Rope: [B, H, T, ", head_dim, "] expected, got ", x.shape()));
}

Tensor Rope::forward(const Tensor& x, int64_t start) const {
  check(x, 2 * half_);
  if (start < 0) throw ValueError(str("Rope: position ", start, " is negative"));
  int64_t end = start + x.dim(2);
  return rotate(x, table(end, x).slice(0, start, end));
}

Tensor Rope::forward(const Tensor& x, const Lengths& first) const {
  check(x, 2 * half_);
  Tensor rows = table(end_position(first, x.dim(0), x.dim(2), "Rope"), x);
  Tensor ids = position_ids(first, x.dim(2), x.device());  // [B, T]
  return rotate(x, embedding(rows, ids).unsqueeze(1));     // [B, 1, T, D]
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
