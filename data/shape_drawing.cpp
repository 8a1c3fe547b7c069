#include <heed/data/shape_drawing.h>

#include <heed/core/xtensor.h>
#include <heed/data/keyed_generator.h>

namespace heed::data {

Generator picture_generator(uint64_t seed, ImagePart part, int64_t index, uint32_t purpose) {
  return keyed_generator(seed, index, static_cast<uint32_t>(part), purpose);
}

int64_t between(Generator& random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random.integer(static_cast<uint64_t>(high - low + 1)));
}

ImagePart part_of_places(std::span<const int64_t> places) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (int64_t place : places) hash = (hash ^ static_cast<uint64_t>(place)) * 0x100000001b3;
  hash ^= hash >> 29;
  hash *= 0xbf58476d1ce4e5b9;  // so that the lowest bits of all places count
  uint64_t part = (hash ^ hash >> 32) % 11;
  return part == 0 ? ImagePart::test : part == 1 ? ImagePart::validation : ImagePart::train;
}

const std::vector<std::string>& agreement_names() {
  static const std::vector<std::string> names{"kind", "colour", "both", "neither"};
  return names;
}

namespace {
// Bytes of 0 to 31, 16 from each block of random numbers.
xt::xtensor<int16_t, 1> noise_of(size_t count, Generator& random) {
  RandomKey key = random.take(static_cast<int64_t>((count + 3) / 4));
  std::vector<uint32_t> words((count + 15) / 16 * 4);
  for (size_t i = 0; i < words.size(); i += 4) {
    auto block = philox(key.seed, key.offset + i / 4);
    std::copy(block.begin(), block.end(), words.begin() + static_cast<std::ptrdiff_t>(i));
  }
  xt::xtensor<int16_t, 1> noise = xt::empty<int16_t>({count});
  for (size_t i = 0; i < count; ++i)
    noise(i) = static_cast<int16_t>(words[i / 4] >> i % 4 * 8 & 31);
  return noise;
}

// Which pixels of a box of side x side belong to the shape. With a and b the distances from the
// centre in half pixels, -side < a, b < side, to the right and down:
xt::xtensor<bool, 2> mask_of(int kind, int64_t side) {
  auto d = static_cast<int>(side);
  xt::xtensor<int, 1> steps = 2 * xt::arange<int>(d) + 1 - d;
  auto a = xt::view(steps, xt::newaxis(), xt::all());
  auto b = xt::view(steps, xt::all(), xt::newaxis());
  switch (kind) {
    case 0: return xt::abs(a) + xt::abs(b) < 2 * d;  // square: all of them
    case 1: {
      auto r = a * a + b * b;
      return r <= d * d && 4 * r > d * d;  // ring
    }
    case 2: return 2 * xt::abs(a) <= b + d;                         // triangle, point above
    default: return 5 * xt::abs(xt::abs(a) - xt::abs(b)) <= 2 * d;  // cross, diagonal
  }
}

constexpr int16_t kColours[4][3] = {{208, 64, 64}, {64, 192, 64}, {80, 96, 224}, {208, 192, 48}};
}  // namespace

void draw_background(const Array& pixels, Generator& random) {
  auto level = static_cast<int>(random.integer(64)) + 64;
  auto flat = as_xtensor<uint8_t, 1>(pixels.view({pixels.numel()}));
  flat = xt::cast<uint8_t>(noise_of(flat.size(), random) + (level - 16));
}

void draw_shape(const Array& pixels, int kind, int colour, int64_t x, int64_t y, int64_t side,
                Generator& random) {
  auto box = as_xtensor<uint8_t, 3>(pixels.slice(1, y, y + side).slice(2, x, x + side));
  auto mask = mask_of(kind, side);
  auto flat = noise_of(static_cast<size_t>(side * side), random);
  auto noise = xt::reshape_view(flat, {side, side});
  for (size_t c = 0; c < 3; ++c) {
    auto plane = xt::view(box, c, xt::all(), xt::all());
    plane = xt::where(mask, xt::cast<uint8_t>(noise + (kColours[colour][c] - 16)), plane);
  }
}

}  // namespace heed::data
