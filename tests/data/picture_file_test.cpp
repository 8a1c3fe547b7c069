#include <heed/data/picture_file.h>

#include <cstdlib>

#include <heed/core/error.h>
#include <heed/data/picture_decoders.h>
#include <heed/data/safetensors.h>
#include <heed/tests/data/picture_bytes.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
int largest_difference(const Array& a, const Array& b) {
  REQUIRE(a.shape() == b.shape());
  REQUIRE(a.dtype() == DType::u8);
  REQUIRE(a.is_contiguous());
  int most = 0;
  for (int64_t i = 0; i < a.numel(); ++i)
    most = std::max(most, std::abs(a.data<uint8_t>()[i] - b.data<uint8_t>()[i]));
  return most;
}
bool is_png(const std::filesystem::path& path) { return path.extension() == ".png"; }
}  // namespace

TEST_CASE("pictures: the pixels that PIL reads, in colour and in grey") {
  SafeTensors expected = read_safetensors(HEED_SOURCE_DIR "/tests/golden/pictures.safetensors");
  auto paths = golden_pictures();
  REQUIRE(paths.size() == 45);
  REQUIRE(expected.tensors.size() == 2 * paths.size());
  for (auto& path : paths) {
    CAPTURE(path.filename().string());
    int tolerance = is_png(path) ? 0 : 2;  // decoders of JPEG may round differently
    Array rgb = read_picture(path.string(), 3), grey = read_picture(path.string(), 1);
    CHECK(largest_difference(rgb, expected.at(path.stem().string() + ".rgb")) <= tolerance);
    CHECK(largest_difference(grey, expected.at(path.stem().string() + ".grey")) <= tolerance);
  }
}

TEST_CASE("pictures: content decides, the name does not") {
  TempDir dir;
  Array png = read_picture(dir.write("a.jpg", golden_picture("rgb_8.png")), 3);
  CHECK(png.shape() == Shape{11, 13, 3});
  Array jpeg = read_picture(dir.write("Bär 熊", golden_picture("baseline_420.jpg")), 3);
  CHECK(jpeg.shape() == Shape{19, 21, 3});
  // What follows a picture is not looked at.
  CHECK_NOTHROW(read_picture(dir.write("b", golden_picture("rgb_8.png") + "more"), 3));
  CHECK_NOTHROW(read_picture(dir.write("c", golden_picture("grey.jpg") + "more"), 3));
}

TEST_CASE("PNG: chunks that do not concern the pixels may hold anything") {
  std::string plain = golden_picture("rgb_8.png");
  size_t behind_header = 8 + 25, pixels = plain.find("IDAT") - 4;
  REQUIRE(pixels == behind_header);
  for (const char* type : {"iCCP", "gAMA", "cHRM", "sBIT", "tRNS", "bKGD", "pHYs", "zTXt", "iTXt",
                           "sPLT", "hIST", "eXIf", "tIME", "acTL", "abCd"}) {
    CAPTURE(type);
    std::string odd = plain;
    odd.insert(pixels, png_chunk(type, "no such content"));
    CHECK(largest_difference(decode_picture("x", odd, 3), decode_picture("x", plain, 3)) == 0);
  }
}

TEST_CASE("pictures: turned upright in eight ways") {
  // 0 1 2
  // 3 4 5
  Array picture = Array::from<uint8_t>({0, 1, 2, 3, 4, 5}, {2, 3, 1});
  auto turned = [&](int orientation, const Shape& shape) {
    Array out = turn_upright(picture, orientation);
    REQUIRE(out.shape() == shape);
    REQUIRE(out.is_contiguous());
    return std::vector<int>(out.data<uint8_t>(), out.data<uint8_t>() + 6);
  };
  CHECK(turned(1, {2, 3, 1}) == std::vector<int>{0, 1, 2, 3, 4, 5});
  CHECK(turned(2, {2, 3, 1}) == std::vector<int>{2, 1, 0, 5, 4, 3});
  CHECK(turned(3, {2, 3, 1}) == std::vector<int>{5, 4, 3, 2, 1, 0});
  CHECK(turned(4, {2, 3, 1}) == std::vector<int>{3, 4, 5, 0, 1, 2});
  CHECK(turned(5, {3, 2, 1}) == std::vector<int>{0, 3, 1, 4, 2, 5});
  CHECK(turned(6, {3, 2, 1}) == std::vector<int>{3, 0, 4, 1, 5, 2});
  CHECK(turned(7, {3, 2, 1}) == std::vector<int>{5, 2, 4, 1, 3, 0});
  CHECK(turned(8, {3, 2, 1}) == std::vector<int>{2, 5, 1, 4, 0, 3});
}

TEST_CASE("pictures: EXIF data that say nothing leave a picture as it is") {
  using namespace std::string_literals;
  auto entry = [](const std::string& tag_type, const std::string& value) {
    return "Exif\0\0MM\0*\0\0\0\x08\0\x01"s + tag_type + "\0\0\0\x01"s + value + "\0\0"s;
  };
  std::string good = entry("\x01\x12\0\x03"s, "\0\x06"s);
  CHECK(exif_orientation(good) == 6);
  CHECK(exif_orientation("Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x08\0\0\0"s) == 8);
  CHECK(exif_orientation(entry("\x01\x12\0\x03"s, "\0\0"s)) == 1);    // out of range
  CHECK(exif_orientation(entry("\x01\x12\0\x03"s, "\0\x09"s)) == 1);  // out of range
  CHECK(exif_orientation(entry("\x01\x12\0\x04"s, "\0\x06"s)) == 1);  // another type
  CHECK(exif_orientation(entry("\x01\x13\0\x03"s, "\0\x06"s)) == 1);  // another tag
  CHECK(exif_orientation("Exif\0\0MM\0*\xff\xff\xff\xff"s) == 1);     // a directory nowhere
  CHECK(exif_orientation("Exif\0\0MM\0*\0\0\0\x08\xff\xff"s) == 1);   // entries that are not there
  CHECK(exif_orientation("Exif\0\0XX\0*\0\0\0\x08\xff\xff"s) == 1);
  CHECK(exif_orientation("http://ns.adobe.com/xap/1.0/") == 1);
  for (size_t n = 0; n < good.size() - 2; ++n) {
    int orientation = exif_orientation(std::string_view(good).substr(0, n));
    CHECK(orientation == 1);
  }
}

TEST_CASE("pictures: which names are those of pictures") {
  for (const char* name : {"a.png", "b.PNG", "c.jpg", "d.JpEg", "x.y/z.JPG", "ü.png", "a.b.jpeg"})
    CHECK(is_picture_name(name));
  for (const char* name : {"", "png", ".png", "x/.jpg", "a.gif", "a.png.txt", "a.png/b", "a.jpgx"})
    CHECK_FALSE(is_picture_name(name));
}
