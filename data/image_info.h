// What an image classifier must know besides its weights: how its classes are called, and which
// pictures it expects. It lies beside the weights as a small JSON file, so whoever has the model
// needs nothing else to use it:
//
//   {"classes": ["cat", "dog"], "shape": [3, 32, 32], "mean": [0.5, 0.5, 0.4],
//    "deviation": [0.2, 0.2, 0.3]}
//
//   ImageInfo info = image_info(*train);           // of the training pictures
//   save_image_info(info, "model/images.json");
#pragma once

#include <string>
#include <vector>

#include <heed/core/array.h>
#include <heed/data/image_set.h>
#include <heed/data/image_statistics.h>

namespace heed::data {

struct ImageInfo {
  std::vector<std::string> class_names;
  Shape shape;  // [C, H, W], of clips [C, T, H, W]
  ImageStatistics statistics;

  int64_t channels() const { return shape[0]; }
  int64_t height() const { return shape[shape.rank() - 2]; }
  int64_t width() const { return shape[shape.rank() - 1]; }
  bool of_clips() const { return shape.rank() == 4; }
  int64_t frames() const { return of_clips() ? shape[1] : 1; }
};

ImageInfo image_info(const ImageSet& training);  // reads every image once

void save_image_info(const ImageInfo& info, const std::string& file);  // IoError
// IoError: cannot be read, no such JSON, or numbers without meaning; names the file and what is
// wrong.
ImageInfo load_image_info(const std::string& file);

// ValueError where `set` has other classes (their names and order count) or another shape: it names
// the first difference.
void require_same_kind(const ImageInfo& info, const ImageSet& set);

}  // namespace heed::data
