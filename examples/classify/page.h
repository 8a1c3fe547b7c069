// What a classifier takes a picture for, and what it looks at, as a panel of a page.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heed/core/array.h>
#include <heed/viz/picture_page.h>

#include "classifier.h"

namespace heed::examples {

struct Guess {
  std::string name;
  double probability = 0;
};
// The most likely classes, best first.
std::vector<Guess> best_guesses(const Classifier& classifier, const data::ImageInfo& info,
                                const Array& image, int64_t count);
// "cat 93.1 %" for the page; marks keep a name that runs from right to left apart from the number.
std::string to_string(const Guess& guess);

using Pixel = std::pair<int64_t, int64_t>;  // x, y

// `image`: u8 of the model's shape. Who looks: the given pixel, or without one the class token,
// where there is one, else the pixel in the middle (of a clip's middle frame; `query` is of that
// frame too). A clip is shown as its frames beside each other, numbered from 1. There are no maps
// where the model has no attention or its variant no weights to show. ValueError: a pixel outside.
viz::PicturePanel panel_of(const Classifier& classifier, const data::ImageInfo& info,
                           const Array& image, const std::string& title,
                           const std::optional<Pixel>& query);

// Writes the page, and says on stdout where it is.
void print_page(const std::vector<viz::PicturePanel>& panels, const std::string& file);

}  // namespace heed::examples
