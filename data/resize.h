// Other sizes of a picture: bilinear with antialiasing, as Pillow's BILINEAR. Where the picture
// shrinks the triangle filter is as wide as the step between output pixels, so every pixel counts.
//
//   out(x) = sum_i w_i in(i) / sum_i w_i,   w_i = max(0, 1 - |i + 1/2 - (x + 1/2) s| / max(s, 1)),
//   s = input size / output size,           along both axes
//
// u8 is computed in f32 and rounded once. ShapeError: a size below 1, or a crop larger than the
// picture.
#pragma once

#include <cstdint>

#include <heed/core/array.h>

namespace heed::data {

// [P, H, W] -> [P, height, width], f32: any number of planes, any strides.
Array resize_planes(const Array& planes, int64_t height, int64_t width);

// u8 [H, W, C] -> u8 [height, width, C].
Array resize(const Array& picture, int64_t height, int64_t width);
// The middle: a view [height, width, C]. An odd pixel too many is cut off below and on the right.
Array center_crop(const Array& picture, int64_t height, int64_t width);
// Resized, its proportions kept, until it just covers height x width; then its middle.
Array fit_picture(const Array& picture, int64_t height, int64_t width);

}  // namespace heed::data
