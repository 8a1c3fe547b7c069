// What shapes.cpp and clips.cpp share: random numbers for each picture, the hash that decides its
// part, the background and the shapes.
#pragma once

#include <span>

#include <heed/core/array.h>
#include <heed/core/random.h>
#include <heed/data/image_set.h>

namespace heed::data {

// A generator whose numbers differ for every (seed, part, index, purpose).
Generator picture_generator(uint64_t seed, ImagePart part, int64_t index, uint32_t purpose);
int64_t between(Generator& random, int64_t low, int64_t high);  // both may come

// Which part the places of a picture belong to, however it came about.
ImagePart part_of_places(std::span<const int64_t> places);

const std::vector<std::string>& agreement_names();

// Fills u8 [3, ..] with a grey level and noise of -16 to 15, drawn from `random`.
void draw_background(const Array& pixels, Generator& random);
// Adds noise like that to a shape's colour where the shape is: pixels u8 [3, H, W], any strides.
void draw_shape(const Array& pixels, int kind, int colour, int64_t x, int64_t y, int64_t side,
                Generator& random);

}  // namespace heed::data
