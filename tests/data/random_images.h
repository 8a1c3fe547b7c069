// Pictures of random bytes, and what tests ask of arrays of pixels.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <heed/core/array.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/data/image_set.h>

namespace heed::test {

inline Array random_image(const Shape& shape, uint64_t seed = 4) {
  Array image = Array::empty(shape, DType::u8, kCpu);
  Generator g(seed);
  for (int64_t i = 0; i < image.numel(); ++i)
    image.data<uint8_t>()[i] = static_cast<uint8_t>(g.integer(256));
  return image;
}

// Labels 0, 1, .. classes - 1, 0, ..
inline data::ImageSetPtr random_set(const Shape& images, int64_t classes, uint64_t seed = 4) {
  std::vector<int64_t> labels;
  std::vector<std::string> names;
  for (int64_t i = 0; i < images[0]; ++i) labels.push_back(i % classes);
  for (int64_t c = 0; c < classes; ++c) names.push_back(str("class ", c));
  return std::make_shared<data::MemoryImages>(random_image(images, seed), labels, names);
}

// Of a row-major array.
template <class T>
std::vector<T> values(const Array& a) {
  return {a.data<T>(), a.data<T>() + a.numel()};
}

}  // namespace heed::test
