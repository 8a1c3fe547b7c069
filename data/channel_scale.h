// Between the files that prepare images: normalisation into memory that is there already.
#pragma once

#include <vector>

#include <heed/core/array.h>
#include <heed/data/image_statistics.h>

namespace heed::data {

// x' = x scale + offset, one of each a channel.
struct ChannelScale {
  std::vector<float> scale, offset;
};
ChannelScale channel_scale(const ImageStatistics& statistics, int64_t channels);  // checks
// u8 [C, ..] -> f32 of that shape, both row-major.
void normalise_into(const Array& image, const ChannelScale& scale, const Array& out);

}  // namespace heed::data
