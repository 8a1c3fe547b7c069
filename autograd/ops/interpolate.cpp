#include <heed/autograd/ops/interpolate.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/resample.h>
#include <heed/autograd/ops/spatial_axes.h>
#include <heed/backends/windows.h>
#include <heed/core/error.h>

namespace heed {

namespace {

struct Interpolate {
  static constexpr const char* name = "interpolate";
};

// factor 0: none was given.
Windows nearest(int64_t in, int64_t out, double factor) {
  Windows w;
  w.in = in;
  w.begin.clear();
  w.count.assign(static_cast<size_t>(out), 1);
  w.weight.assign(static_cast<size_t>(out), 1);
  // In f32, as PyTorch does: a product just below a whole number decides which element it is.
  const float scale = factor > 0 ? static_cast<float>(1 / factor)
                                 : static_cast<float>(in) / static_cast<float>(out);
  for (int64_t o = 0; o < out; ++o)
    w.begin.push_back(
        std::min(in - 1, static_cast<int64_t>(std::floor(static_cast<float>(o) * scale))));
  return w;
}

Windows linear(int64_t in, int64_t out, double factor, bool align_corners) {
  Windows w;
  w.in = in;
  w.widest = 2;
  w.kind = WindowWeights::of_both;
  w.begin.clear();
  w.count.clear();
  w.weight.clear();
  const auto n = static_cast<double>(in), m = static_cast<double>(out);
  const double scale = align_corners ? (out > 1 ? (n - 1) / (m - 1) : 0)
                       : factor > 0  ? 1 / factor
                                     : n / m;
  for (int64_t o = 0; o < out; ++o) {
    const auto at = static_cast<double>(o);
    const double place = align_corners ? at * scale : std::max(0.0, (at + 0.5) * scale - 0.5);
    const int64_t left = std::min(in - 1, static_cast<int64_t>(place));
    const double right = left == in - 1 ? 0 : std::min(1.0, place - static_cast<double>(left));
    w.begin.push_back(left);
    w.count.push_back(right == 0 ? 1 : 2);  // 0 times infinity is not 0
    w.weight.insert(w.weight.end(), {1 - right, right});
  }
  if (*std::max_element(w.count.begin(), w.count.end()) == 1) {
    w.widest = 1;
    w.kind = WindowWeights::of_window;
    w.weight.assign(static_cast<size_t>(out), 1);
  }
  return w;
}

}  // namespace

Tensor interpolate(const Tensor& x, const InterpolateOptions& options) {
  const char* op = Interpolate::name;
  const int axes = x.rank() - 2;
  if (axes < 1 || axes > 3)
    throw ShapeError(
        str(op, ": [B, C, L], [B, C, H, W] or [B, C, D, H, W] expected, got ", x.shape()));
  require_map(op, x, axes);
  const bool by_size = options.size.rank() > 0, by_factor = !options.scale_factor.empty();
  if (by_size == by_factor)
    throw ValueError(
        str(op, ": one of size and scale_factor expected, got ", by_size ? "both" : "none"));
  if (options.align_corners && options.mode == InterpolateMode::nearest)
    throw ValueError(str(op, ": align_corners is an option of the mode linear"));
  const size_t factors = options.scale_factor.size();
  if (by_factor && factors != 1 && factors != static_cast<size_t>(axes))
    throw ShapeError(str(op, ": scale_factor has ", static_cast<int64_t>(factors),
                         " numbers, expected 1 or ", axes, ", one for each axis after [B, C]"));
  const Shape size = by_size ? per_axis(op, "size", options.size, axes) : Shape();
  std::vector<Windows> windows;
  for (int i = 0; i < axes; ++i) {
    const int64_t in = x.dim(2 + i);
    double factor = 0;
    if (by_factor) {
      factor = options.scale_factor[factors == 1 ? 0 : static_cast<size_t>(i)];
      if (!(factor > 0) || factor * static_cast<double>(in) > kLargestAxis)
        throw ValueError(str(op, ": scale_factor is ", factor, ", expected > 0 and at most ",
                             kLargestAxis, " outputs"));
    }
    const int64_t out =
        by_factor ? static_cast<int64_t>(std::floor(static_cast<double>(in) * factor)) : size[i];
    if (out < 1 || out > kLargestAxis)
      throw ValueError(str(op, ": ", out, " outputs along an axis of ", in,
                           " elements, expected 1 to ", kLargestAxis));
    windows.push_back(options.mode == InterpolateMode::nearest
                          ? nearest(in, out, factor)
                          : linear(in, out, factor, options.align_corners));
  }
  return resample<Interpolate>(x, windows);
}

}  // namespace heed
