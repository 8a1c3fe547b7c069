// Pictures or clips with a class each: what image classifiers learn from.
//
//   std::shared_ptr<const ImageSet> set = read_idx_set("images.gz", "labels.gz");
//   Array picture = set->image(7);            // u8, shaped set->image_shape()
//   auto [rest, held_out] = split_by_class(*set, 5000, seed);
//   auto validation = subset(set, held_out);
//
// All images of a set have one shape: [C, H, W], of clips [C, T, H, W]; C is 1 (grey) or 3 (RGB).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed::data {

class ImageSet {
 public:
  virtual ~ImageSet() = default;
  virtual int64_t size() const = 0;
  virtual const std::vector<std::string>& class_names() const = 0;
  virtual Shape image_shape() const = 0;
  // For 0 <= i < size(), and from several threads at a time.
  virtual int64_t label(int64_t i) const = 0;  // 0 <= label < classes()
  virtual Array image(int64_t i) const = 0;    // u8, row-major; may be a view of the set's memory

  int64_t classes() const { return static_cast<int64_t>(class_names().size()); }
};

using ImageSetPtr = std::shared_ptr<const ImageSet>;

// What a source of data offers; a part that it does not have, or that was not to be read, is null.
struct ImageParts {
  ImageSetPtr train, validation, test;
  bool has_test = false;           // there are test pictures, read or not
  std::vector<std::string> notes;  // for the user's eye: what was left out, and why
};

// Which of the parts a reader opens. `training`: train and validation.
enum class ReadParts { all, training, test };

// The parts that generators know.
enum class ImagePart { train, validation, test };

// Images held in memory.
class MemoryImages final : public ImageSet {
 public:
  // images: u8 [N, C, H, W] or [N, C, T, H, W]. ShapeError, DTypeError: not so, an axis of size 0,
  // C other than 1 and 3, or N labels expected; ValueError: a label that is no class.
  MemoryImages(Array images, std::vector<int64_t> labels, std::vector<std::string> class_names);

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  Shape image_shape() const override { return shape_; }
  int64_t label(int64_t i) const override { return labels_[static_cast<size_t>(i)]; }
  Array image(int64_t i) const override { return images_.select(0, i); }

 private:
  Array images_;
  std::vector<int64_t> labels_;
  std::vector<std::string> class_names_;
  Shape shape_;
};

// Those images of a set, in this order; an index may occur twice. The classes stay all there.
// ValueError: no index, or one outside the set.
ImageSetPtr subset(ImageSetPtr set, std::vector<int64_t> indices);

struct ImageSplit {
  std::vector<int64_t> rest, held_out;  // both ascending; together every index once
};

// `held_out` images are taken out, of every class in proportion (exact to one image) and at random
// within it: a pure function of (labels, held_out, seed). ValueError unless 1 <= held_out < size.
ImageSplit split_by_class(const ImageSet& set, int64_t held_out, uint64_t seed);
// Every n-th: indices n - 1, 2n - 1, ... are held out. ValueError unless 2 <= n <= size.
ImageSplit split_every(const ImageSet& set, int64_t n);

}  // namespace heed::data
