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

template <class T>
Array row_major(const Array& array) {
  return array.is_contiguous() ? array : from_xtensor(as_xtensor<T, 3>(array));
}

// The middle axis of a row-major [N, L, M]; f32 comes out. A plain loop: expressions of xtensor's
// row views took several times as long, 0.4 s for a photo.
template <class T>
Array resize_axis(const Array& in, const AxisResize& axis) {
  int64_t n = in.dim(0), length = in.dim(1), m = in.dim(2);
  auto taps = triangle_taps(axis);
  Array out = Array::zeros({n, static_cast<int64_t>(taps.size()), m}, DType::f32, kCpu);
  float* to = out.data<float>();
  for (int64_t i = 0; i < n; ++i)
    for (const Taps& tap : taps) {
      const T* from = in.data<T>() + (i * length + tap.first) * m;
      for (float weight : tap.weight) {
        for (int64_t j = 0; j < m; ++j) to[j] += weight * static_cast<float>(from[j]);
        from += m;
      }
      to += m;
    }
  return out;
}

// u8 [H, W, C] to u8 [rows, columns, C].
Array resize_pixels(const Array& picture, const AxisResize& height, const AxisResize& width) {
  int64_t columns = picture.dim(1), channels = picture.dim(2);
  Array whole = row_major<uint8_t>(picture).view({1, picture.dim(0), columns * channels});
  Array rows = resize_axis<uint8_t>(whole, height);
  Array sized = resize_axis<float>(rows.view({rows.dim(1), columns, channels}), width);
  return from_xtensor(xt::cast<uint8_t>(as_xtensor<float, 3>(sized) + 0.5f));
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
  int64_t count = planes.dim(0), columns = planes.dim(2);
  Array rows = resize_axis<float>(row_major<float>(planes), whole_axis(planes.dim(1), height));
  Array sized =
      resize_axis<float>(rows.view({count * height, columns, 1}), whole_axis(columns, width));
  return sized.view({count, height, width});
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
