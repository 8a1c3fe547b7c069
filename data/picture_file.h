// Pictures from files: PNG and JPEG, told apart by their content, whatever their names say.
//
//   Array picture = read_picture("cat.jpg", 3);  // u8 [H, W, 3], channels R G B
//   Array grey = read_picture("cat.jpg", 1);     // u8 [H, W, 1]
//
// The pixels are those of PIL's Image.open(path).convert("RGB") or convert("L"):
//
// - PNG: grey, grey with alpha, palette, RGB, RGBA, of 1, 2, 4, 8 and 16 bits, interlaced or not.
//   Alpha, and the transparent colours of a palette, are dropped: a transparent pixel has the
//   colour that the file gives it, no background shows through. Of 16 bits the upper 8 are taken
//   (PIL does so too, but for grey without alpha, where it clips at 255). Gamma, colour profiles
//   and a rotation in an eXIf chunk are ignored; of an animation there is the first picture.
// - JPEG: grey, YCbCr, RGB, CMYK and YCCK (inverted, as Adobe writes them), sequential or
//   progressive, 8 bits. It is turned and mirrored as EXIF's orientation says (PIL:
//   ImageOps.exif_transpose); EXIF data that cannot be read are ignored.
// - Grey from colour is the luma of ITU-R 601: (19595 R + 38470 G + 7471 B + 2^15) / 2^16.
//
// A file may be gzip on top. At most 2^28 pixels, which is looked up in the header before memory is
// asked for, and 2^30 bytes.
//
// IoError, which names the file: not there, a directory, a pipe or device, cannot be read, empty,
// neither PNG nor JPEG (other formats by name), too large, of no pixels, truncated, corrupt. Strict
// where viewers are lenient: what libjpeg warns of (bytes too many or too few between its segments)
// and every wrong checksum of a PNG are errors. Bytes behind the end of a picture are not looked
// at.
// ValueError: channels other than 1 and 3.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <heed/core/array.h>

namespace heed::data {

inline constexpr int64_t kMostPicturePixels = int64_t{1} << 28;
inline constexpr int64_t kMostPictureBytes = int64_t{1} << 30;

Array read_picture(const std::string& path, int64_t channels);
// The same of a file's bytes; `name` is what errors call it.
Array decode_picture(const std::string& name, std::string_view bytes, int64_t channels);

// Is it named .png, .jpg or .jpeg, in upper or lower case? Says nothing of what is in it.
bool is_picture_name(std::string_view path);

}  // namespace heed::data
