// Every golden picture cut short at every byte, and with every byte changed.
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/tests/data/picture_bytes.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// None where it is refused, with an error that names the file.
std::optional<Array> decoded(std::string_view bytes) {
  try {
    return decode_picture("x", bytes, 3);
  } catch (const IoError& error) {
    REQUIRE_THAT(error.what(), StartsWith("x: "));
    return std::nullopt;
  }
}

std::string_view pixels(const Array& picture) {
  return {reinterpret_cast<const char*>(picture.data<uint8_t>()),
          static_cast<size_t>(picture.bytes())};
}

std::string with_changed_byte(std::string bytes, size_t i) {
  constexpr unsigned char kFlips[] = {0x01, 0x80, 0xff};
  bytes[i] = static_cast<char>(bytes[i] ^ kFlips[i % 3]);
  return bytes;
}

enum Outcome { refused, same_pixels, other_pixels, other_size };
Outcome outcome(const std::optional<Array>& changed, const Array& original) {
  if (!changed) return refused;
  if (changed->shape() != original.shape()) return other_size;
  return pixels(*changed) == pixels(original) ? same_pixels : other_pixels;
}

// Of each byte of a JPEG: the marker of its segment, 0 where the coefficients are.
std::vector<unsigned char> segments(const std::string& jpeg) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(jpeg[i]); };
  std::vector<unsigned char> out(jpeg.size(), 0);
  for (size_t at = 0; at + 1 < jpeg.size();) {
    unsigned char marker = byte(at) == 0xff ? byte(at + 1) : 0;
    bool restart = marker >= 0xd0 && marker <= 0xd7, bare = marker == 0xd8 || marker == 0xd9;
    size_t length = 1;
    if (marker != 0 && !restart) {
      length = bare ? 2 : 2 + (size_t{byte(at + 2)} << 8 | byte(at + 3));
      for (size_t i = at; i < at + length; ++i) out[i] = marker;
    }
    at += length;
  }
  return out;
}

// A colour that the palette no longer has became the one that stands in its place; nothing else
// changed.
bool only_recoloured(const Array& before, const Array& after, std::string_view old_colour,
                     std::string_view new_colour) {
  for (size_t i = 0; i < pixels(before).size(); i += 3) {
    std::string_view was = pixels(before).substr(i, 3), is = pixels(after).substr(i, 3);
    if (is != was && (was != old_colour || is != new_colour)) return false;
  }
  return true;
}
}  // namespace

TEST_CASE("pictures: cut short anywhere is an error") {
  for (auto& path : golden_pictures()) {
    std::string whole = read_bytes(path);
    CAPTURE(path.filename().string());
    for (size_t n = 0; n < whole.size(); ++n) {
      CAPTURE(n);
      REQUIRE(!decoded(std::string_view(whole).substr(0, n)));
    }
  }
}

TEST_CASE("PNG: a changed byte is an error") {  // a checksum covers every byte
  for (auto& path : golden_pictures()) {
    if (path.extension() != ".png") continue;
    const std::string whole = read_bytes(path);
    CAPTURE(path.filename().string());
    for (size_t i = 0; i < whole.size(); ++i) {
      CAPTURE(i);
      REQUIRE(!decoded(with_changed_byte(whole, i)));
    }
  }
}

TEST_CASE("PNG: a changed byte with a right checksum changes what its chunk describes, no more") {
  int refusals = 0, recoloured = 0;
  for (auto& path : golden_pictures()) {
    if (path.extension() != ".png") continue;
    const std::string whole = read_bytes(path);
    const Array original = decode_picture("x", whole, 3);
    CAPTURE(path.filename().string());
    for (size_t at = 8; at < whole.size();) {
      size_t length = 0;
      for (size_t i = at; i < at + 4; ++i)
        length = length << 8 | static_cast<unsigned char>(whole[i]);
      const std::string type = whole.substr(at + 4, 4), content = whole.substr(at + 8, length);
      for (size_t i = 0; i < length; ++i) {
        CAPTURE(type, i);
        std::string changed = with_changed_byte(content, i);
        std::string chunk = png_chunk(type, changed);
        std::string bytes = whole.substr(0, at) + chunk + whole.substr(at + chunk.size());
        std::optional<Array> picture = decoded(bytes);
        Outcome what = outcome(picture, original);
        refusals += what == refused;
        if (type == "IHDR") {
          REQUIRE(what != other_pixels);
        } else if (type == "IDAT") {  // the sum of the inflated bytes lies within
          REQUIRE((what == refused || what == same_pixels));
        } else if (type == "PLTE") {
          REQUIRE((what == same_pixels || what == other_pixels));
          size_t colour = i / 3 * 3;
          REQUIRE(only_recoloured(original, *picture, content.substr(colour, 3),
                                  changed.substr(colour, 3)));
          recoloured += what == other_pixels;
        } else {
          REQUIRE(what == same_pixels);
        }
      }
      at += 12 + length;
    }
  }
  CHECK(refusals > 0);
  CHECK(recoloured > 0);
}

TEST_CASE("JPEG: a changed byte is an error or changes what its segment describes, no more") {
  constexpr unsigned char kFrame = 0xc0, kProgressive = 0xc2, kJfif = 0xe0, kExif = 0xe1;
  for (auto& path : golden_pictures()) {
    if (path.extension() != ".jpg") continue;
    const std::string whole = read_bytes(path);
    const Array original = decode_picture("x", whole, 3);
    const std::vector<unsigned char> segment = segments(whole);
    CAPTURE(path.filename().string());
    int coded = 0, unnoticed = 0;
    for (size_t i = 0; i < whole.size(); ++i) {
      CAPTURE(i, static_cast<int>(segment[i]));
      Outcome what = outcome(decoded(with_changed_byte(whole, i)), original);
      bool of_frame = segment[i] == kFrame || segment[i] == kProgressive || segment[i] == kExif;
      if (!of_frame) REQUIRE(what != other_size);  // EXIF says which side is up
      if (segment[i] == kJfif) REQUIRE(what != other_pixels);
      coded += segment[i] == 0;
      unnoticed += segment[i] == 0 && what == same_pixels;
    }
    // What remains are bits that fill up the last byte, and changes too small to be seen.
    CHECK(coded > 0);
    CHECK(unnoticed * 10 <= coded);
  }
}
