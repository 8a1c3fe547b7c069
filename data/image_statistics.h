// Mean and deviation of each channel of a set, in the unit interval (255 counts as 1), and what
// they are for: x' = (x / 255 - mean) / deviation, zero on average, of variance one.
//
//   ImageStatistics s = image_statistics(*train);
//   Array x = normalise(train->image(0), s);     // f32
//
// Of a data set always those of its training part. Exact but for the last rounding in double: the
// pixels of each value are counted. The deviation is that of the whole (division by n); a channel
// that never changes has deviation 0 and is divided by 1.
#pragma once

#include <cstdint>
#include <vector>

#include <heed/core/array.h>
#include <heed/data/image_set.h>

namespace heed::data {

struct ImageStatistics {
  std::vector<double> mean, deviation;  // one a channel
  bool operator==(const ImageStatistics&) const = default;
};

ImageStatistics image_statistics(const ImageSet& set);

// u8 [C, ..] -> f32 of that shape. DTypeError; ShapeError where C is not the number of channels;
// ValueError: a deviation that is negative or not finite, or a mean that is not.
Array normalise(const Array& image, const ImageStatistics& statistics);

}  // namespace heed::data
