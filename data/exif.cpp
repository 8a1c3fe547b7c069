#include <heed/data/picture_decoders.h>

#include <algorithm>
#include <utility>

namespace heed::data {

namespace {
// Numbers of a TIFF structure: in the order of bytes that its first two say, 0 beyond the end.
class TiffBytes {
 public:
  explicit TiffBytes(std::string_view bytes)
      : bytes_(bytes), big_endian_(bytes.substr(0, 2) == "MM") {}
  uint32_t number(size_t at, size_t size) const {
    if (at > bytes_.size() || size > bytes_.size() - at) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i)
      value =
          value << 8 | static_cast<unsigned char>(bytes_[at + (big_endian_ ? i : size - 1 - i)]);
    return value;
  }

 private:
  std::string_view bytes_;
  bool big_endian_;
};
}  // namespace

int exif_orientation(std::string_view app1) {
  constexpr std::string_view kBegin("Exif\0\0", 6);
  constexpr uint32_t kTag = 0x0112, kShort = 3;
  constexpr size_t kEntrySize = 12;  // tag, type, count, value: 2 + 2 + 4 + 4 bytes
  if (!app1.starts_with(kBegin)) return 1;
  app1.remove_prefix(kBegin.size());
  if (!app1.starts_with("II") && !app1.starts_with("MM")) return 1;
  TiffBytes tiff(app1);
  if (tiff.number(2, 2) != 42) return 1;
  size_t directory = tiff.number(4, 4);
  size_t entries = tiff.number(directory, 2);
  for (size_t i = 0; i < entries; ++i) {
    size_t entry = directory + 2 + i * kEntrySize;
    if (tiff.number(entry, 2) != kTag) continue;
    uint32_t value = tiff.number(entry + 8, 2);
    bool known = tiff.number(entry + 2, 2) == kShort && value >= 1 && value <= 8;
    return known ? static_cast<int>(value) : 1;
  }
  return 1;
}

// The rows are the columns in orientations 5 to 8; after exchanging them the picture is mirrored
// along none, one or both axes. A plain loop: the same with xtensor takes seven times as long as
// decoding.
Array turn_upright(const Array& picture, int orientation) {
  if (orientation == 1) return picture;
  int64_t height = picture.dim(0), width = picture.dim(1), channels = picture.dim(2);
  int64_t row = picture.strides()[0], column = picture.strides()[1];
  if (orientation >= 5) {
    std::swap(height, width);
    std::swap(row, column);
  }
  const uint8_t* first = picture.data<uint8_t>();
  if (orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8) {
    first += (height - 1) * row;
    row = -row;
  }
  if (orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7) {
    first += (width - 1) * column;
    column = -column;
  }
  Array turned = picture.new_empty({height, width, channels});
  uint8_t* to = turned.data<uint8_t>();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x, to += channels)
      std::copy_n(first + y * row + x * column, channels, to);
  return turned;
}

}  // namespace heed::data
