#include <heed/data/image_statistics.h>

#include <array>
#include <cmath>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>
#include <heed/data/channel_scale.h>

namespace heed::data {

ImageStatistics image_statistics(const ImageSet& set) {
  auto channels = static_cast<size_t>(set.image_shape()[0]);
  int64_t plane = set.image_shape().numel() / set.image_shape()[0];
  xt::xtensor<uint64_t, 2> counts = xt::zeros<uint64_t>({channels, size_t{256}});
  for (int64_t i = 0; i < set.size(); ++i) {
    Array image = set.image(i);
    const uint8_t* pixel = image.data<uint8_t>();
    for (size_t c = 0; c < channels; ++c)
      for (int64_t p = 0; p < plane; ++p) ++counts(c, *pixel++);
  }
  ImageStatistics out;
  xt::xtensor<double, 1> values = xt::arange<double>(256) / 255.0;
  double n = static_cast<double>(set.size()) * static_cast<double>(plane);
  for (size_t c = 0; c < channels; ++c) {
    auto share = xt::view(counts, c, xt::all()) / n;
    double mean = xt::sum(share * values)();
    out.mean.push_back(mean);
    out.deviation.push_back(std::sqrt(xt::sum(share * (values - mean) * (values - mean))()));
  }
  return out;
}

ChannelScale channel_scale(const ImageStatistics& statistics, int64_t channels) {
  auto count = [](const std::vector<double>& v) { return static_cast<int64_t>(v.size()); };
  if (count(statistics.mean) != channels || count(statistics.deviation) != channels)
    throw ShapeError(str("normalise: mean and deviation of ", channels, " channels expected, got ",
                         count(statistics.mean), " and ", count(statistics.deviation)));
  ChannelScale out;
  for (size_t c = 0; c < statistics.mean.size(); ++c) {
    double mean = statistics.mean[c], deviation = statistics.deviation[c];
    if (!std::isfinite(mean) || !std::isfinite(deviation) || deviation < 0)
      throw ValueError(str("normalise: mean ", mean, " and deviation ", deviation, " of channel ",
                           c, ": finite numbers and a deviation >= 0 expected"));
    double divisor = deviation > 0 ? deviation : 1;
    out.scale.push_back(static_cast<float>(1 / (255 * divisor)));
    out.offset.push_back(static_cast<float>(-mean / divisor));
  }
  return out;
}

void normalise_into(const Array& image, const ChannelScale& s, const Array& out) {
  int64_t channels = image.dim(0), plane = image.numel() / channels;
  const uint8_t* from = image.data<uint8_t>();
  float* to = out.data<float>();
  for (size_t c = 0; c < s.scale.size(); ++c, from += plane, to += plane) {
    auto n = static_cast<size_t>(plane);
    std::array<size_t, 1> shape{n};
    auto pixels = xt::adapt(from, n, xt::no_ownership(), shape);
    xt::noalias(xt::adapt(to, n, xt::no_ownership(), shape)) =
        xt::cast<float>(pixels) * s.scale[c] + s.offset[c];
  }
}

Array normalise(const Array& image, const ImageStatistics& statistics) {
  if (!image.defined() || image.dtype() != DType::u8)
    throw DTypeError(str("normalise: u8 expected, got ",
                         image.defined() ? to_string(image.dtype()) : "an undefined array"));
  if (image.rank() < 2 || image.numel() == 0 || !image.is_contiguous())
    throw ShapeError(str("normalise: a row-major [C, ..] expected, got ", image.shape()));
  Array out = image.new_empty(image.shape(), DType::f32);
  normalise_into(image, channel_scale(statistics, image.dim(0)), out);
  return out;
}

}  // namespace heed::data
