#include <heed/data/resize.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>

namespace heed::data {

namespace {
struct Taps {  // of one output pixel: inputs from `first` on, weights adding up to 1
  int64_t first;
  std::vector<float> weight;
};

// An axis from `in` to `out` pixels, of which only those from `begin` to `end` are wanted.
struct AxisResize {
  int64_t in, out, begin, end;
};

std::vector<Taps> triangle_taps(const AxisResize& axis) {
  double step = static_cast<double>(axis.in) / static_cast<double>(axis.out),
         reach = std::max(step, 1.0);
  std::vector<Taps> all;
  for (int64_t x = axis.begin; x < axis.end; ++x) {
    double centre = (static_cast<double>(x) + 0.5) * step;
    auto first = std::max<int64_t>(0, static_cast<int64_t>(std::floor(centre - reach)));
    auto end = std::min<int64_t>(axis.in, static_cast<int64_t>(std::ceil(centre + reach)));
    std::vector<double> weights;
    double sum = 0;
    for (int64_t i = first; i < end; ++i) {
      double distance = std::abs(static_cast<double>(i) + 0.5 - centre) / reach;
      weights.push_back(std::max(0.0, 1 - distance));
      sum += weights.back();
    }
    Taps taps{first, {}};
    for (double w : weights) taps.weight.push_back(static_cast<float>(w / sum));
    all.push_back(std::move(taps));
  }
  return all;
}

// [N, H, M] -> [N, rows, M]: whole rows are weighted and added.
Array resize_rows(const Array& in, const AxisResize& axis) {
  Array out = Array::empty({in.dim(0), axis.end - axis.begin, in.dim(2)}, DType::f32, kCpu);
  auto from = as_xtensor<float, 3>(in), to = as_xtensor<float, 3>(out);
  auto taps = triangle_taps(axis);
  for (size_t n = 0; n < from.shape(0); ++n)
    for (size_t y = 0; y < taps.size(); ++y) {
      auto row = xt::view(to, n, y, xt::all());
      row.fill(0);
      for (size_t k = 0; k < taps[y].weight.size(); ++k)
        xt::noalias(row) += taps[y].weight[k] *
                            xt::view(from, n, static_cast<size_t>(taps[y].first) + k, xt::all());
    }
  return out;
}

// [P, H, W] -> [P, rows, columns].
Array resize_axes(const Array& planes, const AxisResize& height, const AxisResize& width) {
  Array rows = resize_rows(planes, height);
  auto turned = from_xtensor(xt::transpose(as_xtensor<float, 3>(rows), {0, 2, 1}));
  return resize_rows(turned, width).transpose(1, 2);
}

// u8 [H, W, C] to u8 [rows, columns, C].
Array resize_pixels(const Array& picture, const AxisResize& height, const AxisResize& width) {
  Array planes =
      from_xtensor(xt::cast<float>(xt::transpose(as_xtensor<uint8_t, 3>(picture), {2, 0, 1})));
  Array sized = resize_axes(planes, height, width);
  return from_xtensor(
      xt::cast<uint8_t>(xt::transpose(as_xtensor<float, 3>(sized), {1, 2, 0}) + 0.5f));
}

AxisResize whole_axis(int64_t in, int64_t out) { return {in, out, 0, out}; }

void require_picture(const char* op, const Array& picture) {
  if (!picture.defined() || picture.dtype() != DType::u8)
    throw DTypeError(str(op, ": u8 expected, got ",
                         picture.defined() ? to_string(picture.dtype()) : "an undefined array"));
  if (picture.rank() != 3 || picture.numel() == 0)
    throw ShapeError(str(op, ": a picture [H, W, C] expected, got ", picture.shape()));
}

void require_size(const char* op, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    throw ShapeError(str(op, ": a size of 1 x 1 or more expected, got ", height, " x ", width));
}
}  // namespace

Array resize_planes(const Array& planes, int64_t height, int64_t width) {
  if (planes.rank() != 3 || planes.numel() == 0 || height < 1 || width < 1)
    throw ShapeError(str("resize: [P, H, W] and a size of 1 x 1 or more expected, got ",
                         planes.shape(), " and ", height, " x ", width));
  return resize_axes(planes, whole_axis(planes.dim(1), height), whole_axis(planes.dim(2), width));
}

Array resize(const Array& picture, int64_t height, int64_t width) {
  require_picture("resize", picture);
  require_size("resize", height, width);
  if (picture.dim(0) == height && picture.dim(1) == width) return picture;
  return resize_pixels(picture, whole_axis(picture.dim(0), height),
                       whole_axis(picture.dim(1), width));
}

Array center_crop(const Array& picture, int64_t height, int64_t width) {
  require_picture("center_crop", picture);
  if (height < 1 || width < 1 || height > picture.dim(0) || width > picture.dim(1))
    throw ShapeError(str("center_crop: ", height, " x ", width, " out of a picture of ",
                         picture.dim(0), " x ", picture.dim(1)));
  int64_t y = (picture.dim(0) - height) / 2, x = (picture.dim(1) - width) / 2;
  return picture.slice(0, y, y + height).slice(1, x, x + width);
}

// Only the middle is computed: of a picture that is long and thin the rest could be too much.
Array fit_picture(const Array& picture, int64_t height, int64_t width) {
  require_picture("fit_picture", picture);
  require_size("fit_picture", height, width);
  double scale = std::max(static_cast<double>(height) / static_cast<double>(picture.dim(0)),
                          static_cast<double>(width) / static_cast<double>(picture.dim(1)));
  auto middle = [scale](int64_t in, int64_t wanted) {
    int64_t out = std::max<int64_t>(wanted, std::llround(scale * static_cast<double>(in)));
    int64_t begin = (out - wanted) / 2;
    return AxisResize{in, out, begin, begin + wanted};
  };
  if (picture.dim(0) == height && picture.dim(1) == width) return picture;
  return resize_pixels(picture, middle(picture.dim(0), height), middle(picture.dim(1), width));
}

}  // namespace heed::data
