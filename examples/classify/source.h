// The pictures that a command line names.
#pragma once

#include <string>

#include <heed/data/image_set.h>

#include "settings.h"

namespace heed::examples {

// Training, validation and test pictures; of `eval` the test pictures alone matter. `seed` chooses
// what is held out for validation, and what generators draw. IoError, ValueError.
data::ImageParts open_images(const DataSettings& s, uint64_t seed);

// "Fashion: 55000 to learn from, 5000 for validation", for the first lines of a run.
std::string describe(const data::ImageParts& parts);

}  // namespace heed::examples
