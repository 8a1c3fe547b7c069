#include <heed/nn/position.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>
#include <heed/nn/init.h>

namespace heed::nn {

Tensor sinusoidal_table(int64_t length, int64_t width, const TensorOptions& options) {
  if (width < 1 || length < 0)
    throw ValueError(str("sinusoidal_table: length ", length, " and width ", width));
  std::vector<double> values(static_cast<size_t>(length * width));
  for (int64_t c = 0; c < width; ++c) {
    double pair = static_cast<double>(c / 2 * 2) / static_cast<double>(width);
    double rate = std::pow(10000.0, -pair);
    for (int64_t p = 0; p < length; ++p) {
      double angle = static_cast<double>(p) * rate;
      values[static_cast<size_t>(p * width + c)] = c % 2 ? std::cos(angle) : std::sin(angle);
    }
  }
  DType dtype = options.dtype ? *options.dtype : default_dtype();
  return Tensor::from(values, {length, width}, {.dtype = dtype, .device = options.device});
}

Tensor sinusoidal_grid(int64_t rows, int64_t columns, int64_t width, const TensorOptions& options) {
  if (rows < 1 || columns < 1 || width < 4 || width % 4 != 0)
    throw ValueError(
        str("sinusoidal_grid: a width that 4 divides expected, a sine and a cosine of ",
            "row and column each, got width ", width, " for a grid of ", rows, " x ", columns));
  Tensor y = sinusoidal_table(rows, width / 2, options).unsqueeze(1);     // [R, 1, D/2]
  Tensor x = sinusoidal_table(columns, width / 2, options).unsqueeze(0);  // [1, C, D/2]
  Shape half{rows, columns, width / 2};
  Tensor both = concat({broadcast_to(y, half), broadcast_to(x, half)}, -1);  // [R, C, D]
  return both.reshape({rows * columns, width});                              // [R C, D]
}

Tensor position_ids(const Lengths& first, int64_t count, Device device) {
  std::vector<int64_t> ids;
  for (int64_t p : first.values())
    for (int64_t t = 0; t < count; ++t) ids.push_back(std::max<int64_t>(p + t, 0));
  return Tensor(plan_on(Array::from(ids, {first.size(), count}), device));  // [B, T]
}

int64_t end_position(const Lengths& first, int64_t batch, int64_t count, const char* who) {
  if (first.size() != batch)
    throw ShapeError(
        str(who, ": first positions [", batch, "] expected, got ", first.size(), " of them"));
  return std::max<int64_t>(0, first.max() + count);
}

// Both kinds add a part of a table [length, D] that is long enough.
static Tensor add_rows(const Tensor& x, const Tensor& table, int64_t start) {
  return x + table.slice(0, start, start + x.dim(1));  // [B, T, D]
}

static void check(const Tensor& x, int64_t width, const char* who) {
  if (x.rank() != 3 || x.dim(2) != width)
    throw ShapeError(str(who, ": [B, T, ", width, "] expected, got ", x.shape()));
}

SinusoidalPositions::SinusoidalPositions(int64_t width) : width_(width) {
  if (width < 1) throw ValueError(str("SinusoidalPositions: width ", width));
}

Tensor SinusoidalPositions::table(int64_t length, const Tensor& like) const {
  return table_.get(length, like, [this](int64_t known, DType dtype, Device device) {
    return sinusoidal_table(known, width_, {.dtype = dtype, .device = device});
  });
}

Tensor SinusoidalPositions::forward(const Tensor& x, int64_t start) const {
  check(x, width_, "SinusoidalPositions");
  return add_rows(x, table(start + x.dim(1), x), start);
}

Tensor SinusoidalPositions::forward(const Tensor& x, const Lengths& first) const {
  check(x, width_, "SinusoidalPositions");
  Tensor rows = table(end_position(first, x.dim(0), x.dim(1), "SinusoidalPositions"), x);
  return x + embedding(rows, position_ids(first, x.dim(1), x.device()));  // [B, T, D]
}

std::string SinusoidalPositions::type_name() const {
  return str("SinusoidalPositions(", width_, ")");
}

LearnedPositions::LearnedPositions(int64_t max_length, int64_t width) {
  if (max_length < 1 || width < 1)
    throw ValueError(
        str("LearnedPositions: sizes must be positive, got ", max_length, " x ", width));
  weight = zeros({max_length, width});
  init::normal_(weight, 0, 0.02);
  register_parameter("weight", weight);
}

void LearnedPositions::require_length(int64_t length) const {
  if (length > weight.dim(0))
    throw ValueError(str("LearnedPositions: position ", length - 1,
                         " asked for, but there are only ", weight.dim(0), " positions"));
}

Tensor LearnedPositions::forward(const Tensor& x, int64_t start) const {
  check(x, weight.dim(1), "LearnedPositions");
  require_length(start + x.dim(1));
  return add_rows(x, weight, start);
}

Tensor LearnedPositions::forward(const Tensor& x, const Lengths& first) const {
  check(x, weight.dim(1), "LearnedPositions");
  require_length(end_position(first, x.dim(0), x.dim(1), "LearnedPositions"));
  return x + embedding(weight, position_ids(first, x.dim(1), x.device()));  // [B, T, D]
}

std::string LearnedPositions::type_name() const {
  return str("LearnedPositions(", weight.dim(0), ", ", weight.dim(1), ")");
}

}  // namespace heed::nn
