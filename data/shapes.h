// Pictures whose class can be told only from both of their ends: two shapes, one within the left
// quarter, one within the right quarter of the picture (so at least half a picture lies between
// them), on a grey background with noise. The class says what they agree in:
//
//   0 "kind"     the same kind, different colours        2 "both"
//   1 "colour"   the same colour, different kinds        3 "neither"
//
// Four kinds (square, ring, triangle, cross), four colours (red, green, blue, yellow). Within each
// class all combinations that fit are equally likely, so kind and colour of either shape, and both
// together, have the same (uniform) distribution in every class; so have places, sizes and noise.
// One shape alone says nothing of the class.
//
//   ShapeImages train({.count = 10000, .seed = 1});
//   ShapeImages test({.count = 2000, .seed = 1, .part = ImagePart::test});
//
// Images are drawn when they are asked for: image i is a pure function of (seed, part, size, i), by
// integers only. Its class is i mod 4. Which part a picture may be in is read off a hash of the
// places and sizes of its shapes (9/11 train, 1/11 each of the others), so no picture is in two
// parts, whatever the seeds.
#pragma once

#include <array>
#include <cstdint>

#include <heed/data/image_set.h>

namespace heed::data {

inline constexpr int kShapeKinds = 4, kShapeColours = 4, kAgreements = 4;

// Two shapes or two events: what is compared.
struct ShapePair {
  std::array<int, 2> kind, colour;
  bool operator==(const ShapePair&) const = default;
};
int agreement(const ShapePair& pair);  // 0 kind, 1 colour, 2 both, 3 neither
// How many pairs have this agreement, and the n-th of them. ValueError: no such class or pair.
int pair_count(int agreement);
ShapePair pair_of(int agreement, int n);

struct ShapeOptions {
  int64_t count = 10000;
  uint64_t seed = 0;
  ImagePart part = ImagePart::train;
  int64_t size = 32;  // pixels on a side, 16 to 256
};

// What picture i shows: shape j has its upper left corner at (x[j], y[j]) and is `side[j]` wide.
struct ShapeScene {
  ShapePair pair;
  std::array<int64_t, 2> x, y, side;
};

class ShapeImages final : public ImageSet {
 public:
  explicit ShapeImages(const ShapeOptions& options);  // ValueError: count < 1, size out of range

  int64_t size() const override { return options_.count; }
  const std::vector<std::string>& class_names() const override;
  Shape image_shape() const override { return {3, options_.size, options_.size}; }
  int64_t label(int64_t i) const override { return i % kAgreements; }
  Array image(int64_t i) const override;

  ShapeScene scene(int64_t i) const;

 private:
  ShapeOptions options_;
};

}  // namespace heed::data
