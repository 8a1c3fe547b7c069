#include <heed/data/shapes.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/shape_drawing.h>

namespace heed::data {

int agreement(const ShapePair& pair) {
  bool kind = pair.kind[0] == pair.kind[1], colour = pair.colour[0] == pair.colour[1];
  return kind ? (colour ? 2 : 0) : (colour ? 1 : 3);
}

int pair_count(int agreement) {
  constexpr int kOne = kShapeKinds * kShapeColours;  // what one shape can be
  switch (agreement) {
    case 0: return kOne * (kShapeColours - 1);
    case 1: return kOne * (kShapeKinds - 1);
    case 2: return kOne;
    case 3: return kOne * (kShapeKinds - 1) * (kShapeColours - 1);
    default: throw ValueError(str("pair_count: classes are 0 to 3, got ", agreement));
  }
}

// The first shape is any; the second differs by 0 where they agree, else by 1 to 3 (modulo 4). So
// each shape takes on every kind and colour equally often.
ShapePair pair_of(int agreement, int n) {
  if (n < 0 || n >= pair_count(agreement))
    throw ValueError(str("pair_of: 0 to ", pair_count(agreement) - 1, " in class ", agreement,
                         " expected, got ", n));
  bool same_kind = agreement == 0 || agreement == 2, same_colour = agreement == 1 || agreement == 2;
  auto digit = [&n](int base) {
    int value = n % base;
    n /= base;
    return value;
  };
  int kind = digit(kShapeKinds), colour = digit(kShapeColours);
  int kind_step = same_kind ? 0 : 1 + digit(kShapeKinds - 1);
  int colour_step = same_colour ? 0 : 1 + digit(kShapeColours - 1);
  return {{kind, (kind + kind_step) % kShapeKinds},
          {colour, (colour + colour_step) % kShapeColours}};
}

ShapeImages::ShapeImages(const ShapeOptions& options) : options_(options) {
  if (options.count < 1) throw ValueError(str("shapes: count >= 1 expected, got ", options.count));
  if (options.size < 16 || options.size > 256)
    throw ValueError(str("shapes: a size of 16 to 256 pixels expected, got ", options.size));
}

const std::vector<std::string>& ShapeImages::class_names() const { return agreement_names(); }

ShapeScene ShapeImages::scene(int64_t i) const {
  Generator random = picture_generator(options_.seed, options_.part, i, 0x73686170);
  int label = static_cast<int>(this->label(i));
  ShapeScene scene;
  scene.pair = pair_of(label, static_cast<int>(between(random, 0, pair_count(label) - 1)));
  int64_t size = options_.size, quarter = size / 4;
  std::array<int64_t, 7> places;
  do {
    for (size_t j = 0; j < 2; ++j) {
      int64_t side = between(random, std::max<int64_t>(4, quarter * 3 / 4), quarter);
      scene.side[j] = side;
      scene.x[j] = (j ? size - quarter : 0) + between(random, 0, quarter - side);
      scene.y[j] = between(random, 0, size - side);
    }
    places = {size, scene.side[0], scene.x[0], scene.y[0], scene.side[1], scene.x[1], scene.y[1]};
  } while (part_of_places(places) != options_.part);
  return scene;
}

Array ShapeImages::image(int64_t i) const {
  ShapeScene s = scene(i);
  Array pixels = Array::empty(image_shape(), DType::u8, kCpu);
  Generator random = picture_generator(options_.seed, options_.part, i, 0x6e6f6973);
  draw_background(pixels, random);
  for (size_t j = 0; j < 2; ++j)
    draw_shape(pixels, s.pair.kind[j], s.pair.colour[j], s.x[j], s.y[j], s.side[j], random);
  return pixels;
}

}  // namespace heed::data
