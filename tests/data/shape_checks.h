// What the tests of shapes and of clips share: the class by another way than the generator's,
// shapes recognised in pictures, and marginals counted.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>
#include <heed/data/shapes.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

namespace heed::test {

// From the words: "kind" says that the kinds agree, and so on.
inline bool class_says(const std::string& name, const data::ShapePair& pair) {
  bool kind = pair.kind[0] == pair.kind[1], colour = pair.colour[0] == pair.colour[1];
  return std::map<std::string, bool>{{"kind", kind && !colour},
                                     {"colour", colour && !kind},
                                     {"both", kind && colour},
                                     {"neither", !kind && !colour}}
      .at(name);
}

inline constexpr int kShownColours[4][3] = {
    {208, 64, 64}, {64, 192, 64}, {80, 96, 224}, {208, 192, 48}};

// Which of the colours a pixel has, give or take the noise; -1: none of them.
inline int colour_of(const std::array<int, 3>& rgb) {
  for (int colour = 0; colour < 4; ++colour) {
    bool all = true;
    for (size_t c = 0; c < 3; ++c) {
      int noise = rgb[c] - kShownColours[colour][c];
      all = all && noise >= -16 && noise <= 15;
    }
    if (all) return colour;
  }
  return -1;
}

struct Sighting {
  int colour = -1, kind = -1;
};

// What a box of a picture [3, H, W] shows, read off its corners and edges.
inline Sighting look_at(const Array& picture, int64_t x, int64_t y, int64_t side) {
  auto pixels = as_xtensor<uint8_t, 3>(picture);
  Sighting seen;
  auto colour_at = [&](int64_t down, int64_t right) {
    return colour_of({pixels(0, y + down, x + right), pixels(1, y + down, x + right),
                      pixels(2, y + down, x + right)});
  };
  for (int64_t i = 0; i < side; ++i)
    for (int64_t j = 0; j < side; ++j) {
      int colour = colour_at(i, j);
      if (colour < 0) continue;
      REQUIRE((seen.colour < 0 || seen.colour == colour));  // all of one colour
      seen.colour = colour;
    }
  bool above_left = colour_at(0, 0) >= 0, below_left = colour_at(side - 1, 0) >= 0,
       above = colour_at(0, side / 2) >= 0;
  if (above_left) seen.kind = above ? 0 : 3;  // a square, or a cross
  else seen.kind = below_left ? 2 : 1;        // a triangle, or a ring
  return seen;
}

// Pixels outside the boxes {x, y, side} are background: near one grey. Returns how many there are.
inline int64_t count_background(const Array& picture,
                                const std::vector<std::array<int64_t, 3>>& boxes) {
  auto pixels = as_xtensor<uint8_t, 3>(picture);
  int64_t count = 0;
  int low = 255, high = 0;
  for (int64_t i = 0; i < picture.dim(1); ++i)
    for (int64_t j = 0; j < picture.dim(2); ++j) {
      bool inside = false;
      for (auto [x, y, side] : boxes)
        inside = inside || (j >= x && j < x + side && i >= y && i < y + side);
      if (inside) continue;
      ++count;
      for (size_t c = 0; c < 3; ++c) {
        low = std::min<int>(low, pixels(c, i, j));
        high = std::max<int>(high, pixels(c, i, j));
      }
    }
  REQUIRE(low >= 48);
  REQUIRE(high < 143);
  REQUIRE(high - low < 32);
  return count;
}

// How often each class shows each kind with each colour, first and second.
using Marginals = std::map<std::array<int, 4>, int>;  // {class, which, kind, colour}
inline void count_pair(Marginals& counts, int label, const data::ShapePair& pair) {
  for (int j : {0, 1})
    ++counts[{label, j, pair.kind[static_cast<size_t>(j)], pair.colour[static_cast<size_t>(j)]}];
}

// Every one of the 128 occurs `expected` times, give or take `tolerance`.
inline void check_marginals(const Marginals& counts, int expected, int tolerance) {
  REQUIRE(counts.size() == 4 * 2 * 16);
  for (auto [what, count] : counts) {
    CAPTURE(what[0], what[1], what[2], what[3]);
    CHECK(std::abs(count - expected) <= tolerance);
  }
}

inline uint64_t checksum(const Array& picture) {
  uint64_t sum = 0xcbf29ce484222325;
  for (uint8_t byte : values<uint8_t>(picture)) sum = (sum ^ byte) * 0x100000001b3;
  return sum;
}

}  // namespace heed::test
