// Pictures as files: PNG, 8 bits a channel, grey or RGB.
//
//   write_png("map.png", image);   // u8, [H, W] grey or [H, W, 3] RGB, any strides
//
// ShapeError, DTypeError: not such an array, or 0 or more than 65535 pixels on a side. IoError:
// cannot be written.
#pragma once

#include <string>

#include <heed/core/array.h>

namespace heed::data {

void write_png(const std::string& path, const Array& image);
std::string encode_png(const Array& image);  // the bytes of the file

}  // namespace heed::data
