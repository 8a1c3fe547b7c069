#include <heed/viz/picture_page.h>

#include <array>
#include <cmath>
#include <string_view>

#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/viz/find.h>

using namespace heed;
using namespace heed::viz;
using namespace heed::test;

namespace {
Array grey(int64_t height, int64_t width, uint8_t value) {
  return Array::from(std::vector<uint8_t>(static_cast<size_t>(height * width), value),
                     {height, width});
}

std::array<int, 3> pixel(const Array& a, int64_t y, int64_t x) {
  const uint8_t* p = a.data<uint8_t>() + (y * a.dim(1) + x) * 3;
  return {p[0], p[1], p[2]};
}

PicturePanel panel() {
  return {grey(4, 6, 100),
          "cat.png",
          {"cat 93 %"},
          {},
          {{"head 1", Array::from<float>({0, 1, 0.5f, 0, 0, 0}, {2, 3})}}};
}

std::string base64_decoded(std::string_view text) {
  constexpr std::string_view kDigits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string out;
  uint32_t bits = 0;
  int count = 0;
  for (char c : text) {
    if (c == '=') break;
    REQUIRE(kDigits.find(c) != std::string_view::npos);
    bits = bits << 6 | static_cast<uint32_t>(kDigits.find(c));
    if ((count += 6) >= 8) out.push_back(static_cast<char>(bits >> (count -= 8) & 255));
  }
  return out;
}

// The pictures that a page shows: u8 [H, W, 3] each.
std::vector<Array> shown(const std::string& page) {
  constexpr std::string_view kBegin = "src=\"data:image/png;base64,";
  std::vector<Array> out;
  for (size_t at = 0; (at = page.find(kBegin, at)) != std::string::npos;) {
    at += kBegin.size();
    std::string png = base64_decoded(page.substr(at, page.find('"', at) - at));
    out.push_back(data::decode_picture("the page", png, 3));
  }
  return out;
}
}  // namespace

TEST_CASE("picture page: a cell covers its part of the picture, the largest weight the most") {
  // The odd size: 5 rows over 2 cells, 7 columns over 3.
  Array picture = grey(5, 7, 0);
  Array w = Array::from<float>({0, 0.2f, 0.1f, NAN, 0, 0}, {2, 3});
  Array out = lay_over(picture, w, 2);
  REQUIRE(out.shape() == Shape{10, 14, 3});
  std::array<int, 3> nothing{102, 102, 102};  // black is shown pale
  for (int64_t y = 0; y < 10; ++y)
    for (int64_t x = 0; x < 14; ++x) {
      int64_t row = y / 2 * 2 / 5, column = x / 2 * 3 / 7;
      auto p = pixel(out, y, x);
      CAPTURE(y, x);
      if (row == 0 && column == 1) CHECK(p == std::array<int, 3>{202, 108, 26});
      else if (row == 0 && column == 2) CHECK(p == std::array<int, 3>{152, 105, 64});
      else CHECK(p == nothing);
    }
  // Any strides, any floating type; a map of zeros covers nothing.
  Array turned = Array::from<double>({0, 1, 1, 0}, {2, 2}).transpose(0, 1);
  CHECK(pixel(lay_over(grey(2, 2, 255), turned, 1), 0, 0) == std::array<int, 3>{255, 255, 255});
  CHECK(pixel(lay_over(grey(2, 2, 255), Array::from<float>({0}, {1, 1}), 1), 0, 0) ==
        std::array<int, 3>{255, 255, 255});
}

TEST_CASE("picture page: says what it shows, loads nothing, and texts do no harm") {
  PicturePanel p = panel();
  p.query = PictureRegion{2, 0, 2, 2};
  p.title = "</h2><script>alert(1)</script>";
  p.lines = {"\"a\" & <b>", "\xff"};
  std::string page = picture_page({p, panel()}, {.title = "<t>", .lines = {"one & two"}});
  CHECK(count(page, "<section>") == 2);
  CHECK(count(page, "<img ") == 4);  // the picture and one map each
  CHECK(count(page, "src=\"data:image/png;base64,") == 4);
  CHECK(has(page, "head 1: 0 to 1"));
  CHECK_FALSE(has(page, "<script"));
  CHECK(has(page, "&lt;script&gt;"));
  CHECK(has(page, "&quot;a&quot; &amp; &lt;b&gt;"));
  CHECK(has(page, "one &amp; two"));
  CHECK(has(page, "default-src 'none'"));

  TempDir dir;
  save_picture_page(dir / "page.html", {p});
  CHECK_THROWS_AS(save_picture_page(dir / "none/page.html", {p}), IoError);
}

TEST_CASE("picture page: a blue frame of two pixels lies just inside the region that looks") {
  auto [height, width, region] = GENERATE(table<int64_t, int64_t, PictureRegion>({
      {4, 6, {2, 1, 2, 1}},
      {4, 6, {0, 0, 1, 1}},  // in each corner
      {4, 6, {5, 0, 1, 1}},
      {4, 6, {0, 3, 1, 1}},
      {4, 6, {5, 3, 1, 1}},
      {4, 6, {0, 0, 6, 4}},      // the whole picture
      {200, 256, {7, 9, 5, 6}},  // not enlarged: 1 x 2 pixels remain free
      {200, 256, {251, 194, 5, 6}},
      {200, 256, {255, 199, 1, 1}},  // smaller than its frame
      {200, 256, {10, 20, 9, 3}},
  }));
  CAPTURE(height, width, region.x, region.y, region.width, region.height);
  PicturePanel p = panel();
  p.picture = Array::empty({height, width, 3}, DType::u8, kCpu);
  for (int64_t i = 0; i < p.picture.numel(); ++i)
    p.picture.data<uint8_t>()[i] = static_cast<uint8_t>(37 * i + 11);
  std::vector<Array> plain = shown(picture_page({p}));
  p.query = region;
  std::vector<Array> framed = shown(picture_page({p}));
  REQUIRE(plain.size() == 2);  // the picture and a map
  REQUIRE(framed.size() == 2);

  int64_t enlarge = 256 / width;
  for (size_t picture = 0; picture < 2; ++picture) {
    CAPTURE(picture);
    REQUIRE(plain[picture].shape() == Shape{height * enlarge, width * enlarge, 3});
    REQUIRE(framed[picture].shape() == plain[picture].shape());
    for (int64_t y = 0; y < height * enlarge; ++y)
      for (int64_t x = 0; x < width * enlarge; ++x) {
        int64_t top = region.y * enlarge, bottom = (region.y + region.height) * enlarge - 1;
        int64_t left = region.x * enlarge, right = (region.x + region.width) * enlarge - 1;
        bool inside = y >= top && y <= bottom && x >= left && x <= right;
        bool deep = y >= top + 2 && y <= bottom - 2 && x >= left + 2 && x <= right - 2;
        auto expected =
            inside && !deep ? std::array<int, 3>{30, 110, 255} : pixel(plain[picture], y, x);
        if (pixel(framed[picture], y, x) == expected) continue;
        CAPTURE(y, x);
        REQUIRE(pixel(framed[picture], y, x) == expected);
      }
  }
}

TEST_CASE("picture page: the frames of a clip stand apart, each with its number") {
  PicturePanel p = panel();
  p.query = PictureRegion{2, 0, 2, 2};  // in the second of three frames of 4 x 2
  for (int64_t i = 0; i < p.picture.numel(); ++i)
    p.picture.data<uint8_t>()[i] = static_cast<uint8_t>(10 * i);
  std::vector<Array> whole = shown(picture_page({p}));
  p.frames = 3;
  std::string page = picture_page({p});
  std::vector<Array> frames = shown(page);
  REQUIRE(whole.size() == 2);  // the picture and a map
  REQUIRE(frames.size() == 6);
  CHECK(count(page, "<span>") == 6);
  CHECK(has(page, "alt=\"the frames, frame 3\""));
  CHECK(has(page, "alt=\"head 1: 0 to 1, frame 1\""));
  CHECK(has(page, "/>3</span>"));
  for (size_t i = 0; i < 6; ++i) {
    // 64 pixels of the page for one, against 42 where the three share a side of 256.
    REQUIRE(frames[i].shape() == Shape{4 * 64, 2 * 64, 3});
    auto frame = static_cast<int64_t>(i % 3);
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t x = 0; x < 2; ++x)  // the middle of a pixel, free of the blue frame
        CHECK(pixel(frames[i], y * 64 + 32, x * 64 + 32) ==
              pixel(whole[i / 3], y * 42 + 21, (frame * 2 + x) * 42 + 21));
  }
  CHECK(pixel(frames[0], 0, 127) != std::array<int, 3>{30, 110, 255});
  CHECK(pixel(frames[1], 0, 0) == std::array<int, 3>{30, 110, 255});
  CHECK(pixel(frames[4], 127, 127) == std::array<int, 3>{30, 110, 255});
}

TEST_CASE("picture page: what it refuses") {
  auto refuse = [](PicturePanel p, const std::string& what) {
    try {
      picture_page({p});
      FAIL("taken: " << what);
    } catch (const Error& error) {
      CHECK_THAT(error.what(), ContainsSubstring(what));
    }
  };
  CHECK_THROWS_AS(picture_page({}), ValueError);
  PicturePanel p = panel();
  p.picture = Array::from<float>({1}, {1, 1});
  refuse(p, "u8");
  p = panel(), p.picture = grey(4, 6, 1).view({2, 3, 4});
  refuse(p, "[H, W, 3]");
  p = panel(), p.maps[0].weights = Array::from<float>({1, 2, 3}, {3});
  refuse(p, "'head 1'");
  p = panel(), p.maps[0].weights = Array::zeros({5, 1}, DType::f32, kCpu);
  refuse(p, "at most 4 x 6");
  p = panel(), p.frames = 4;
  refuse(p, "4 frames do not divide a width of 6");
  p.frames = 0;
  refuse(p, "0 frames");
  p = panel(), p.maps[0].weights = grey(2, 2, 1);
  refuse(p, "weights of f32");
  for (PictureRegion region :
       {PictureRegion{-1, 0, 1, 1}, PictureRegion{6, 0, 1, 1}, PictureRegion{0, 3, 1, 2},
        PictureRegion{0, 0, 0, 1}, PictureRegion{0, 0, INT64_MAX, 1}}) {
    p = panel(), p.query = region;
    refuse(p, "a region inside of 6 x 4");
  }
}
