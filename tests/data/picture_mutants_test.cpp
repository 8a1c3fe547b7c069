// Every golden picture cut short at every byte, and with every byte changed.
#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/tests/data/picture_bytes.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// Decoded, or refused with an error that names the file: true where it was refused.
bool refused(std::string_view bytes) {
  try {
    decode_picture("x", bytes, 3);
    return false;
  } catch (const IoError& error) {
    REQUIRE_THAT(error.what(), StartsWith("x: "));
    return true;
  }
}
}  // namespace

TEST_CASE("pictures: cut short anywhere is an error") {
  for (auto& path : golden_pictures()) {
    std::string whole = read_bytes(path);
    CAPTURE(path.filename().string());
    for (size_t n = 0; n < whole.size(); ++n) {
      CAPTURE(n);
      REQUIRE(refused(std::string_view(whole).substr(0, n)));
    }
  }
}

TEST_CASE("pictures: a changed byte is an error or gives other pixels") {
  constexpr unsigned char kFlips[] = {0x01, 0x80, 0xff};
  for (auto& path : golden_pictures()) {
    const std::string whole = read_bytes(path);
    CAPTURE(path.filename().string());
    for (size_t i = 0; i < whole.size(); ++i) {
      CAPTURE(i);
      std::string changed = whole;
      changed[i] = static_cast<char>(changed[i] ^ kFlips[i % 3]);
      bool error = refused(changed);
      if (path.extension() == ".png") REQUIRE(error);  // a checksum covers every byte
    }
  }
}

TEST_CASE("PNG: a changed byte with a right checksum is an error or gives other pixels") {
  constexpr unsigned char kFlips[] = {0x01, 0x80, 0xff};
  for (auto& path : golden_pictures()) {
    if (path.extension() != ".png") continue;
    const std::string whole = read_bytes(path);
    CAPTURE(path.filename().string());
    for (size_t at = 8; at < whole.size();) {
      size_t length = 0;
      for (size_t i = at; i < at + 4; ++i)
        length = length << 8 | static_cast<unsigned char>(whole[i]);
      for (size_t i = 0; i < length; ++i) {
        CAPTURE(at, i);
        std::string content = whole.substr(at + 8, length);
        content[i] = static_cast<char>(content[i] ^ kFlips[i % 3]);
        std::string chunk = png_chunk(whole.substr(at + 4, 4), content);
        refused(whole.substr(0, at) + chunk + whole.substr(at + chunk.size()));
      }
      at += 12 + length;
    }
  }
}
