#include <heed/viz/picture_page.h>

#include <cmath>

#include <heed/core/error.h>
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

TEST_CASE("picture page: what it refuses") {
  auto refuse = [](PicturePanel p, const std::string& what) {
    try {
      picture_page({p});
      FAIL("taken: " << what);
    } catch (const Error& error) {
      CHECK_THAT(error.what(), Catch::Contains(what));
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
  p = panel(), p.maps[0].weights = grey(2, 2, 1);
  refuse(p, "weights of f32");
  for (PictureRegion region :
       {PictureRegion{-1, 0, 1, 1}, PictureRegion{6, 0, 1, 1}, PictureRegion{0, 3, 1, 2},
        PictureRegion{0, 0, 0, 1}, PictureRegion{0, 0, INT64_MAX, 1}}) {
    p = panel(), p.query = region;
    refuse(p, "a region inside of 6 x 4");
  }
}
