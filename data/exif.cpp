#include <heed/core/xtensor.h>
#include <heed/data/picture_decoders.h>

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

// Which way each orientation lies: the rows are the columns in 5 to 8, and after exchanging them
// the picture is mirrored along none, one or both axes.
Array turn_upright(const Array& picture, int orientation) {
  bool exchanged = orientation >= 5;
  bool top_down = orientation == 3 || orientation == 4 || orientation == 7 || orientation == 8;
  bool right_left = orientation == 2 || orientation == 3 || orientation == 6 || orientation == 7;
  Array turned = picture;
  if (exchanged) turned = from_xtensor(xt::transpose(as_xtensor<uint8_t, 3>(turned), {1, 0, 2}));
  if (top_down) turned = from_xtensor(xt::flip(as_xtensor<uint8_t, 3>(turned), 0));
  if (right_left) turned = from_xtensor(xt::flip(as_xtensor<uint8_t, 3>(turned), 1));
  return turned;
}

}  // namespace heed::data
