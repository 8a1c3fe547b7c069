// Short clips that ask the question of shapes.h about time: two events, each a shape that shows for
// one or a few frames, the first within the first quarter of the clip, the second within the last
// (so at least half a clip lies between them), anywhere in the picture. Classes, kinds and colours
// are those of shapes.h, and so is what is said there of their distributions, of seeds and parts.
//
//   ClipImages train({.count = 10000, .seed = 1});   // [3, 8, 16, 16] each
#pragma once

#include <heed/data/shapes.h>

namespace heed::data {

struct ClipOptions {
  int64_t count = 10000;
  uint64_t seed = 0;
  ImagePart part = ImagePart::train;
  int64_t frames = 8;  // 4 to 256
  int64_t size = 16;   // pixels on a side, 8 to 128
};

// Event j shows in the frames [begin[j], end[j]).
struct ClipScene {
  ShapePair pair;
  std::array<int64_t, 2> begin, end, x, y, side;
};

class ClipImages final : public ImageSet {
 public:
  explicit ClipImages(const ClipOptions& options);  // ValueError: an option out of range

  int64_t size() const override { return options_.count; }
  const std::vector<std::string>& class_names() const override;
  Shape image_shape() const override { return {3, options_.frames, options_.size, options_.size}; }
  int64_t label(int64_t i) const override { return i % kAgreements; }
  Array image(int64_t i) const override;

  ClipScene scene(int64_t i) const;

 private:
  ClipOptions options_;
};

}  // namespace heed::data
