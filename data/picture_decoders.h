// What decode_picture is made of. Internal to data/; picture_file.h says what can be read, and the
// errors are those.
//
// libpng and libjpeg report an error by longjmp, which must not leave a scope with destructors.
// Hence each decoder has two phases, header and pixels: functions with setjmp and trivial locals
// only, between which the memory is made and the errors are thrown.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <heed/core/array.h>

namespace heed::data {

Array decode_png(const std::string& name, std::string_view bytes);   // u8 [H, W, 1] or [H, W, 3]
Array decode_jpeg(const std::string& name, std::string_view bytes);  // the same, turned upright

// IoError: no pixel, or more than kMostPicturePixels.
void require_picture_size(const std::string& name, int64_t height, int64_t width);

// Of the content of a JPEG's APP1 segment ("Exif\0\0" and a TIFF header): 1 to 8; 1 (upright) where
// it says nothing that can be understood.
int exif_orientation(std::string_view app1);
// u8 [H, W, C] as seen upright, of a picture with that orientation.
Array turn_upright(const Array& picture, int orientation);

}  // namespace heed::data
