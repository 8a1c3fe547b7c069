#include <heed/data/images.h>

#include <png.h>

#include <filesystem>
#include <vector>

#include <heed/core/error.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
// Decoded by libpng: not by what wrote it.
std::vector<uint8_t> decode(const std::string& bytes, unsigned format, unsigned& width,
                            unsigned& height) {
  png_image image = {};
  image.version = PNG_IMAGE_VERSION;
  REQUIRE(png_image_begin_read_from_memory(&image, bytes.data(), bytes.size()));
  REQUIRE(image.format == format);
  width = image.width;
  height = image.height;
  std::vector<uint8_t> pixels(PNG_IMAGE_SIZE(image));
  REQUIRE(png_image_finish_read(&image, nullptr, pixels.data(), 0, nullptr));
  REQUIRE(image.warning_or_error == 0);
  return pixels;
}
}  // namespace

TEST_CASE("PNG: libpng reads back every pixel") {
  unsigned width, height;
  Array grey = random_image({7, 13});
  auto pixels = decode(encode_png(grey), PNG_FORMAT_GRAY, width, height);
  CHECK(width == 13);
  CHECK(height == 7);
  CHECK(std::equal(pixels.begin(), pixels.end(), grey.data<uint8_t>()));

  Array rgb = random_image({300, 1, 3});
  pixels = decode(encode_png(rgb), PNG_FORMAT_RGB, width, height);
  CHECK(width == 1);
  CHECK(height == 300);
  CHECK(std::equal(pixels.begin(), pixels.end(), rgb.data<uint8_t>()));

  pixels = decode(encode_png(grey.transpose(0, 1)), PNG_FORMAT_GRAY, width, height);
  CHECK(width == 7);
  CHECK(pixels[1] == grey.data<uint8_t>()[13]);
  pixels = decode(encode_png(rgb.slice(0, 10, 20, 3)), PNG_FORMAT_RGB, width, height);
  CHECK(height == 4);
  CHECK(pixels[3] == rgb.data<uint8_t>()[13 * 3]);
}

TEST_CASE("PNG: what is no picture, and where none can be written") {
  REQUIRE_THROWS_SAYING(encode_png(Array::zeros({2, 2}, DType::f32, kCpu)), DTypeError,
                        "u8 expected, got f32");
  CHECK_THROWS_AS(encode_png(Array()), DTypeError);
  REQUIRE_THROWS_SAYING(encode_png(Array::zeros({2, 2, 4}, DType::u8, kCpu)), ShapeError,
                        "[H, W] or [H, W, 3] expected, got [2, 2, 4]");
  CHECK_THROWS_AS(encode_png(Array::zeros({4}, DType::u8, kCpu)), ShapeError);
  CHECK_THROWS_AS(encode_png(Array::zeros({0, 4}, DType::u8, kCpu)), ShapeError);
  CHECK_THROWS_AS(encode_png(Array::zeros({1, 65536}, DType::u8, kCpu)), ShapeError);
  TempDir dir;
  Array one = Array::zeros({1, 1}, DType::u8, kCpu);
  write_png(dir / "one.png", one);
  CHECK(read_bytes(dir / "one.png") == encode_png(one));
  REQUIRE_THROWS_SAYING(write_png(dir / "no" / "one.png", one), IoError,
                        "cannot write: No such file");
  if (std::filesystem::exists("/dev/full"))
    REQUIRE_THROWS_SAYING(write_png("/dev/full", one), IoError, "cannot write");
}
