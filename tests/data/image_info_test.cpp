#include <heed/data/image_info.h>

#include <fstream>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
MemoryImages two_pictures(std::vector<std::string> names = {"a", "猫"},
                          Shape shape = {2, 1, 2, 2}) {
  std::vector<uint8_t> pixels(static_cast<size_t>(shape.numel()), 0);
  for (size_t i = 0; i < pixels.size(); i += 2) pixels[i] = 255;
  return MemoryImages(Array::from(pixels, shape), {0, 1}, std::move(names));
}
}  // namespace

TEST_CASE("image info: goes through a file") {
  TempDir dir;
  ImageInfo info = image_info(two_pictures());
  CHECK(info.shape == Shape{1, 2, 2});
  CHECK(info.statistics.mean == std::vector<double>{0.5});
  CHECK(info.statistics.deviation == std::vector<double>{0.5});
  save_image_info(info, dir / "images.json");
  ImageInfo read = load_image_info(dir / "images.json");
  CHECK(read.class_names == info.class_names);
  CHECK(read.shape == info.shape);
  CHECK(read.statistics == info.statistics);
  CHECK_FALSE(read.of_clips());

  ImageInfo clips = image_info(two_pictures({"a", "b"}, {2, 3, 4, 5, 6}));
  CHECK(clips.of_clips());
  CHECK(clips.frames() == 4);
  CHECK(clips.height() == 5);
  CHECK(clips.width() == 6);
  CHECK(clips.channels() == 3);
}

TEST_CASE("image info: what it refuses to read names the file and the fault") {
  TempDir dir;
  std::string file = dir / "images.json";
  auto refuse = [&](const std::string& text, const std::string& says) {
    std::ofstream(file) << text;
    try {
      load_image_info(file);
      FAIL("read: " << text);
    } catch (const IoError& error) {
      CHECK_THAT(error.what(), ContainsSubstring(file) && ContainsSubstring(says));
    }
  };
  CHECK_THROWS_AS(load_image_info(dir / "missing.json"), IoError);
  refuse("", "a JSON object");
  refuse("[1]", "a JSON object");
  refuse("{}", "\"classes\"");
  refuse(R"({"classes": [], "shape": [1, 2, 2], "mean": [0], "deviation": [1]})", "\"classes\"");
  refuse(R"({"classes": [1], "shape": [1, 2, 2], "mean": [0], "deviation": [1]})", "strings");
  refuse(R"({"classes": ["a"], "shape": [1, 2.5, 2], "mean": [0], "deviation": [1]})", "2.5");
  refuse(R"({"classes": ["a"], "shape": [2, 2], "mean": [0], "deviation": [1]})", "[C, H, W]");
  refuse(R"({"classes": ["a"], "shape": [1, 0, 2], "mean": [0], "deviation": [1]})", "[C, H, W]");
  refuse(R"({"classes": ["a"], "shape": [3, 2, 2], "mean": [0], "deviation": [1]})", "3 channels");
  refuse(R"({"classes": ["a"], "shape": [1, 2, 2], "mean": ["x"], "deviation": [1]})", "numbers");
  refuse(R"({"classes": ["a"], "shape": [1, 2, 2], "mean": [0], "deviation": [-1]})", ">= 0");
}

TEST_CASE("image info: a set of another kind is refused with the first difference") {
  ImageInfo info = image_info(two_pictures());
  CHECK_NOTHROW(require_same_kind(info, two_pictures()));
  REQUIRE_THROWS_SAYING(require_same_kind(info, two_pictures({"a", "dog"})), ValueError, "dog");
  REQUIRE_THROWS_SAYING(require_same_kind(info, two_pictures({"a", "猫", "c"})), ValueError,
                        "2 classes");
  REQUIRE_THROWS_SAYING(require_same_kind(info, two_pictures({"a", "猫"}, {2, 1, 2, 3})),
                        ValueError, "shape");
}
