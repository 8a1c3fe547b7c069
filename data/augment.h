// Random changes to training pictures that leave their class as it is.
//
//   shift   moved by up to 1/8 of height and width (whole pixels); what comes in from outside has
//           the channel's mean (zero)
//   crop    a random part of 1/4 to all of the area, of 3:4 to 4:3 in proportion (in pixels; what
//           does not fit into the picture is cut off), resized to the whole (the random resized
//           crop of Szegedy et al. 2015, with a larger least area)
//   flip    mirrored, left for right, in one of two cases
//   erase   in one of two cases a rectangle of 1/50 to 1/4 of the area, of 1:3 to 3:1 in
//           proportion, has the channel's mean (random erasing, Zhong et al. 2017)
//
// They are done in this order, whichever order they are named in. What happens to image i is a pure
// function of (seed, epoch, i), and of shift nothing changes when flip is added. All frames of a
// clip are changed alike.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <heed/core/array.h>

namespace heed::data {

struct Augmentation {
  bool shift = false, crop = false, flip = false, erase = false;
  bool operator==(const Augmentation&) const = default;
};

// "shift,flip"; "" and "none" are none. ValueError: an unknown name (says which there are), or one
// that stands twice.
Augmentation parse_augmentation(std::string_view names);
std::string to_string(const Augmentation& augmentation);

// Changes f32 [C, H, W] or [C, T, H, W], normalised and row-major, in place.
void augment(const Array& image, const Augmentation& augmentation, uint64_t seed, int64_t epoch,
             int64_t index);

}  // namespace heed::data
