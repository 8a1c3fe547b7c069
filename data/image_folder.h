// Pictures in folders, one folder a class:
//
//   DIR/train/CLASS/*.jpg              or    DIR/CLASS/*.jpg
//   DIR/val/CLASS/*.jpg                      (all of it for training)
//   DIR/test/CLASS/*.jpg
//
//   ImageParts flowers = read_image_folder("flowers", {.height = 64, .width = 64});
//
// The validation folder may also be called valid or validation, and any part may be missing.
// Classes are sorted by the bytes of their names and are the same in every part: those of train, or
// if that is missing, of all parts together. Pictures are the files named .png, .jpg or .jpeg
// (picture_file.h says what of them can be read), sorted by class and then by name. Symbolic links
// are followed. Skipped are hidden entries (with a dot at the beginning) and, with a note, other
// files and what lies deeper.
//
// Each picture is brought to height x width: resized until it covers that, then its middle
// (fit_picture). As long as all of them together fit into `memory_limit` bytes they are read at
// once, in parallel, into memory; else each time that they are asked for, and a broken one is an
// error only then.
//
// IoError, which names the file or folder: not a directory, no class folders, a class folder
// without a picture, only one class to train with, a class in a part that training does not have, a
// broken link, a class whose name is no UTF-8, what read_picture refuses, a picture of more than
// kMostPicturePixels / height columns. ValueError: a height without a width, below 1 or of together
// more pixels than that; channels other than 1 and 3; a negative limit.
#pragma once

#include <cstdint>
#include <string>

#include <heed/data/image_set.h>

namespace heed::data {

struct ImageFolderOptions {
  int64_t height = 0, width = 0;  // both 0: those of the first picture, with a note
  int64_t channels = 3;           // 1: grey
  int64_t memory_limit = int64_t{2} << 30;
  ReadParts parts = ReadParts::all;  // the pictures of the others are not read; classes count
};

ImageParts read_image_folder(const std::string& directory, const ImageFolderOptions& options = {});

// One picture as those of a folder: u8 [channels, height, width].
Array read_fitted(const std::string& path, int64_t channels, int64_t height, int64_t width);

}  // namespace heed::data
