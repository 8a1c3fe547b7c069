// The pictures that a command line names.
#pragma once

#include <string>

#include <heed/data/image_info.h>
#include <heed/data/image_set.h>

#include "settings.h"

namespace heed::examples {

// Training and validation pictures; `seed` chooses what is held out for validation, and what
// generators draw. `known` is what the run that is resumed expects. It is null for a new run, whose
// sizes are those of the first picture where neither the files nor the settings say them. IoError,
// ValueError.
data::ImageParts open_images(const DataSettings& s, uint64_t seed, const data::ImageInfo* known);
// The test pictures of a directory or a generator. Of files, all: unless the model was trained on
// them (`trained_on`), which is an error where training left out none. IoError, ValueError.
data::ImageSetPtr open_test_images(const DataSettings& s, uint64_t seed,
                                   const data::ImageInfo& info, bool trained_on);

// ValueError, which names the data and the model, where these pictures are not of its kind.
void require_same_kind(const data::ImageInfo& info, const data::ImageSet& set,
                       const DataSettings& s, const std::string& model);

// "9000 pictures to learn from, 1000 for validation; 10 classes, ..", for the first lines of a
// run.
std::string describe(const data::ImageParts& parts);

}  // namespace heed::examples
