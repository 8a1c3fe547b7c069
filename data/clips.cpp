#include <heed/data/clips.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/shape_drawing.h>

namespace heed::data {

ClipImages::ClipImages(const ClipOptions& options) : options_(options) {
  if (options.count < 1) throw ValueError(str("clips: count >= 1 expected, got ", options.count));
  if (options.frames < 4 || options.frames > 256)
    throw ValueError(str("clips: 4 to 256 frames expected, got ", options.frames));
  if (options.size < 8 || options.size > 128)
    throw ValueError(str("clips: a size of 8 to 128 pixels expected, got ", options.size));
}

const std::vector<std::string>& ClipImages::class_names() const { return agreement_names(); }

ClipScene ClipImages::scene(int64_t i) const {
  Generator random = picture_generator(options_.seed, options_.part, i, 0x636c6970);
  int label = static_cast<int>(this->label(i));
  ClipScene scene;
  scene.pair = pair_of(label, static_cast<int>(between(random, 0, pair_count(label) - 1)));
  int64_t size = options_.size, quarter = options_.frames / 4;
  std::array<int64_t, 12> places;
  do {
    for (size_t j = 0; j < 2; ++j) {
      int64_t shown = between(random, (quarter + 1) / 2, quarter),
              side = between(random, std::max<int64_t>(4, size / 3), size / 2);
      scene.begin[j] = (j ? options_.frames - quarter : 0) + between(random, 0, quarter - shown);
      scene.end[j] = scene.begin[j] + shown;
      scene.side[j] = side;
      scene.x[j] = between(random, 0, size - side);
      scene.y[j] = between(random, 0, size - side);
    }
    places = {size,          options_.frames, scene.begin[0], scene.end[0],
              scene.side[0], scene.x[0],      scene.y[0],     scene.begin[1],
              scene.end[1],  scene.side[1],   scene.x[1],     scene.y[1]};
  } while (part_of_places(places) != options_.part);
  return scene;
}

Array ClipImages::image(int64_t i) const {
  ClipScene s = scene(i);
  Array pixels = Array::empty(image_shape(), DType::u8, kCpu);
  Generator random = picture_generator(options_.seed, options_.part, i, 0x6e6f6973);
  draw_background(pixels, random);
  for (size_t j = 0; j < 2; ++j)
    for (int64_t frame = s.begin[j]; frame < s.end[j]; ++frame)
      draw_shape(pixels.select(1, frame), s.pair.kind[j], s.pair.colour[j], s.x[j], s.y[j],
                 s.side[j], random);
  return pixels;
}

}  // namespace heed::data
