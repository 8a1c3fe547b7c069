// The pictures that a command line names.
#pragma once

#include <string>

#include <heed/data/image_set.h>

#include "settings.h"

namespace heed::examples {

// Training and validation pictures; `seed` chooses what is held out for validation, and what
// generators draw. IoError, ValueError.
data::ImageParts open_images(const DataSettings& s, uint64_t seed);
// The test pictures of a directory or a generator; of files that were named, all. IoError,
// ValueError.
data::ImageSetPtr open_test_images(const DataSettings& s, uint64_t seed);

// "Fashion: 55000 to learn from, 5000 for validation", for the first lines of a run.
std::string describe(const data::ImageParts& parts);

}  // namespace heed::examples
