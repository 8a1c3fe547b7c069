#include <heed/data/augment.h>

#include <array>
#include <cmath>
#include <map>
#include <optional>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/core/xtensor.h>
#include <heed/data/resize.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
using Pixels = xt::xtensor<float, 3>;
constexpr Augmentation kShift{.shift = true}, kCrop{.crop = true}, kFlip{.flip = true},
    kErase{.erase = true};

// Without a zero, so that zeros tell what was put in.
Array random_planes(const Shape& shape, uint64_t seed = 6) {
  return random_uniform(shape, 0.5, 1.5, {seed, 0});
}

// Of [C, H, W]; `image` stays as it is.
Pixels augmented(const Array& image, const Augmentation& augmentation, int64_t index,
                 uint64_t seed = 1, int64_t epoch = 0) {
  Array copy = from_xtensor(as_xtensor<float>(image));
  augment(copy, augmentation, seed, epoch, index);
  return as_xtensor<float, 3>(
      copy.view({copy.numel() / (copy.dim(-2) * copy.dim(-1)), copy.dim(-2), copy.dim(-1)}));
}

bool same(const Pixels& a, const Pixels& b) { return a == b; }

Pixels shifted(const Pixels& from, int down, int right) {
  Pixels to = xt::zeros_like(from);
  int height = static_cast<int>(from.shape(1)), width = static_cast<int>(from.shape(2));
  for (size_t n = 0; n < from.shape(0); ++n)
    for (int y = 0; y < height; ++y)
      for (int x = 0; x < width; ++x)
        if (y - down >= 0 && y - down < height && x - right >= 0 && x - right < width)
          to(n, y, x) = from(n, y - down, x - right);
  return to;
}

Pixels mirrored(const Pixels& from) {
  Pixels to = from;
  for (size_t n = 0; n < from.shape(0); ++n)
    for (size_t y = 0; y < from.shape(1); ++y)
      for (size_t x = 0; x < from.shape(2); ++x) to(n, y, x) = from(n, y, from.shape(2) - 1 - x);
  return to;
}

struct Box {
  int64_t y, x, height, width;
  bool operator==(const Box&) const = default;
};
// The rectangle of zeros, the same in every plane; nothing where there is none. All else must be
// as it was.
std::optional<Box> erased_box(const Pixels& before, const Pixels& after) {
  int64_t top = 1 << 20, left = 1 << 20, bottom = -1, right = -1;
  for (int64_t y = 0; y < static_cast<int64_t>(after.shape(1)); ++y)
    for (int64_t x = 0; x < static_cast<int64_t>(after.shape(2)); ++x)
      if (after(0, y, x) == 0) {
        top = std::min(top, y), left = std::min(left, x);
        bottom = std::max(bottom, y), right = std::max(right, x);
      }
  for (size_t n = 0; n < after.shape(0); ++n)
    for (int64_t y = 0; y < static_cast<int64_t>(after.shape(1)); ++y)
      for (int64_t x = 0; x < static_cast<int64_t>(after.shape(2)); ++x) {
        bool inside = y >= top && y <= bottom && x >= left && x <= right;
        REQUIRE(after(n, y, x) == (inside ? 0 : before(n, y, x)));
      }
  if (bottom < 0) return std::nullopt;
  return Box{top, left, bottom - top + 1, right - left + 1};
}

void check_box(const Box& box, double area, double low, double high, double ratio) {
  CAPTURE(box.height, box.width);
  auto h = static_cast<double>(box.height), w = static_cast<double>(box.width);
  // Sides are rounded to whole pixels.
  CHECK((h + 0.5) * (w + 0.5) >= low * area);
  CHECK((h - 0.5) * (w - 0.5) <= high * area);
  CHECK((w - 0.5) / (h + 0.5) <= ratio);
  CHECK((h - 0.5) / (w + 0.5) <= ratio);
}
}  // namespace

TEST_CASE("augmentations by name") {
  CHECK(parse_augmentation("") == Augmentation{});
  CHECK(parse_augmentation("none") == Augmentation{});
  CHECK(parse_augmentation("shift") == kShift);
  CHECK(parse_augmentation("erase,crop") == Augmentation{.crop = true, .erase = true});
  for (const char* names : {"none", "shift", "crop", "flip", "erase", "shift,flip",
                            "shift,crop,flip,erase", "crop,erase"})
    CHECK(to_string(parse_augmentation(names)) == names);
  CHECK(to_string(parse_augmentation("flip,shift")) == "shift,flip");
  for (const char* names : {"turn", "shift,", ",shift", "shift, flip", "Shift", ",", "none,shift"})
    REQUIRE_THROWS_SAYING(parse_augmentation(names), ValueError,
                          "shift, crop, flip, erase or none expected");
  REQUIRE_THROWS_SAYING(parse_augmentation("shift,flip,shift"), ValueError,
                        "'shift' is given twice in 'shift,flip,shift'");
}

TEST_CASE("augment: none changes nothing, and each is a pure function of seed, epoch and index") {
  Array image = random_planes({3, 16, 12});
  Pixels before = as_xtensor<float, 3>(image);
  CHECK(same(augmented(image, {}, 5), before));
  for (const char* name : {"shift", "crop", "flip", "erase", "shift,crop,flip,erase"}) {
    CAPTURE(name);
    Augmentation a = parse_augmentation(name);
    int by_index = 0, by_seed = 0, by_epoch = 0;
    for (int64_t i = 0; i < 64; ++i) {
      Pixels one = augmented(image, a, i);
      REQUIRE(same(one, augmented(image, a, i)));
      by_index += one != augmented(image, a, i + 64);
      by_seed += one != augmented(image, a, i, 2);
      by_epoch += one != augmented(image, a, i, 1, 1);
    }
    // A flip is the same in one of two cases.
    for (int different : {by_index, by_seed, by_epoch}) CHECK(different > 16);
  }
}

TEST_CASE("shift: whole pixels, up to an eighth, zeros from outside, each shift as often") {
  Array image = random_planes({2, 16, 24});
  Pixels before = as_xtensor<float, 3>(image);
  std::map<std::pair<int, int>, int> seen;
  for (int64_t i = 0; i < 1400; ++i) {
    Pixels after = augmented(image, kShift, i);
    // Where a pixel of the middle has gone says which shift it was.
    for (int down = -2; down <= 2; ++down)
      for (int right = -3; right <= 3; ++right)
        if (after(0, 8 + down, 12 + right) == before(0, 8, 12)) {
          REQUIRE(same(after, shifted(before, down, right)));
          ++seen[{down, right}];
        }
  }
  int all = 0;
  REQUIRE(seen.size() == 35);
  for (auto [shift, count] : seen) {
    CHECK(count > 15);  // 40 are expected, with a deviation of 6.2
    CHECK(count < 65);
    all += count;
  }
  CHECK(all == 1400);
  Array small = random_planes({1, 7, 7});  // an eighth is less than a pixel
  CHECK(same(augmented(small, kShift, 3), as_xtensor<float, 3>(small)));
}

TEST_CASE("flip: left for right, in one of two cases") {
  Array image = random_planes({3, 5, 6});
  Pixels before = as_xtensor<float, 3>(image);
  int flips = 0;
  for (int64_t i = 0; i < 1000; ++i) {
    Pixels after = augmented(image, kFlip, i);
    if (after == mirrored(before)) ++flips;
    else REQUIRE(same(after, before));
  }
  CHECK(flips > 430);  // 500 are expected, with a deviation of 15.8
  CHECK(flips < 570);
}

TEST_CASE("erase: a rectangle, in one of two cases") {
  for (Shape shape : {Shape{3, 32, 32}, Shape{1, 20, 28}, Shape{2, 3, 24, 24}}) {
    CAPTURE(shape);
    Array image = random_planes(shape);
    Pixels before = augmented(image, {}, 0);
    int64_t height = shape[shape.rank() - 2], width = shape[shape.rank() - 1];
    int erased = 0;
    double smallest = 1, largest = 0;
    for (int64_t i = 0; i < 400; ++i) {
      auto box = erased_box(before, augmented(image, kErase, i));
      if (!box) continue;
      ++erased;
      auto area = static_cast<double>(height * width);
      check_box(*box, area, 0.02, 0.25, 3);
      double share = static_cast<double>(box->height * box->width) / area;
      smallest = std::min(smallest, share), largest = std::max(largest, share);
    }
    CHECK(erased > 150);
    CHECK(erased < 250);
    CHECK(smallest < 0.05);
    CHECK(largest > 0.2);
  }
}

TEST_CASE("crop: a part of the picture, resized to the whole") {
  // Two planes that say where a pixel comes from, and one of noise.
  Array image = random_planes({3, 16, 20});
  auto pixels = as_xtensor<float, 3>(image);
  for (int y = 0; y < 16; ++y)
    for (int x = 0; x < 20; ++x)
      pixels(0, y, x) = static_cast<float>(y), pixels(1, y, x) = static_cast<float>(x);
  double smallest = 1e9, largest = 0;
  for (int64_t i = 0; i < 60; ++i) {
    Pixels after = augmented(image, kCrop, i);
    // The slope of the ramps says how large the part was, their middle where it was.
    auto middle = [](float a, float b) { return (static_cast<double>(a) + b) / 2; };
    int64_t h = std::llround(16 * (after(0, 8, 0) - after(0, 7, 0))),
            w = std::llround(20 * (after(1, 0, 10) - after(1, 0, 9)));
    double y = middle(after(0, 7, 0), after(0, 8, 0)) - static_cast<double>(h - 1) / 2,
           x = middle(after(1, 0, 9), after(1, 0, 10)) - static_cast<double>(w - 1) / 2;
    Box box{std::llround(y), std::llround(x), h, w};
    REQUIRE((h >= 1 && box.y >= 0 && box.y + h <= 16));
    REQUIRE((w >= 1 && box.x >= 0 && box.x + w <= 20));
    Array part = image.slice(1, box.y, box.y + h).slice(2, box.x, box.x + w);
    Array sized = resize_planes(part, 16, 20);
    REQUIRE(xt::amax(xt::abs(as_xtensor<float, 3>(sized) - after))() < 1e-5f);
    // A part that does not fit is cut off: at most its width or height.
    check_box(box, 320, 0.25 * 0.75, 1, 20.0 / 12);
    auto area = static_cast<double>(h * w);
    smallest = std::min(smallest, area), largest = std::max(largest, area);
  }
  CHECK(smallest < 320 * 0.4);
  CHECK(largest > 320 * 0.75);
}

TEST_CASE("augmentations do not change one another, and come in one order") {
  Array image = random_planes({1, 24, 24});
  Pixels before = as_xtensor<float, 3>(image);
  for (int64_t i = 0; i < 100; ++i) {
    Pixels moved = augmented(image, kShift, i);
    bool flips = augmented(image, kFlip, i) != before;
    CHECK(same(augmented(image, parse_augmentation("flip,shift"), i),
               flips ? mirrored(moved) : moved));
    Pixels erased = augmented(image, parse_augmentation("shift,flip,erase"), i);
    auto box = erased_box(before, augmented(image, kErase, i));
    Pixels expected = flips ? mirrored(moved) : moved;
    if (box)
      xt::view(expected, 0, xt::range(box->y, box->y + box->height),
               xt::range(box->x, box->x + box->width)) = 0;
    CHECK(same(erased, expected));
  }
}

TEST_CASE("augmentations are drawn independently of each other") {
  Array image = random_planes({1, 16, 16});
  Pixels before = as_xtensor<float, 3>(image);
  std::map<std::array<bool, 3>, int> counts;
  for (int64_t i = 0; i < 800; ++i) {
    Pixels moved = augmented(image, kShift, i);
    bool up = same(moved, before) || moved(0, 15, 8) == 0;  // in about half of the cases
    ++counts[{up, augmented(image, kFlip, i) != before, augmented(image, kErase, i) != before}];
  }
  int up = 0;
  for (auto [what, count] : counts) up += what[0] ? count : 0;
  for (bool flip : {false, true})
    for (bool erase : {false, true}) {
      int with = counts[{true, flip, erase}], without = counts[{false, flip, erase}];
      CHECK_THAT(with, WithinAbs(up / 4.0, 45));  // deviation 8 to 9
      CHECK_THAT(without, WithinAbs((800 - up) / 4.0, 45));
    }
}

TEST_CASE("augment: all channels and frames alike") {
  Array frame = random_planes({1, 16, 16});
  Array clip = Array::empty({3, 4, 16, 16}, DType::f32, kCpu);
  xt::noalias(as_xtensor<float>(clip)) =
      xt::broadcast(as_xtensor<float, 2>(frame.select(0, 0)), std::array<size_t, 4>{3, 4, 16, 16});
  for (int64_t i = 0; i < 40; ++i) {
    Augmentation all = parse_augmentation("shift,crop,flip,erase");
    Pixels one = augmented(frame, all, i), many = augmented(clip, all, i);
    for (size_t n = 0; n < 12; ++n)
      REQUIRE(same(xt::view(many, xt::range(n, n + 1), xt::all(), xt::all()), one));
  }
}

TEST_CASE("augment: odd and tiny pictures, and what is none") {
  Augmentation all = parse_augmentation("shift,crop,flip,erase");
  for (Shape shape : {Shape{1, 1, 1}, Shape{3, 1, 9}, Shape{1, 40, 1}, Shape{2, 1, 2, 3}}) {
    Array image = random_planes(shape);
    for (int64_t i = 0; i < 50; ++i)
      for (float value : augmented(image, all, i)) REQUIRE((value >= 0 && value < 1.6f));
  }
  CHECK_THROWS_AS(augment(random_planes({4, 4}), all, 0, 0, 0), ShapeError);
  CHECK_THROWS_AS(augment(Array::zeros({1, 0, 4}, DType::f32, kCpu), all, 0, 0, 0), ShapeError);
  CHECK_THROWS_AS(augment(random_image({1, 4, 4}), all, 0, 0, 0), DTypeError);
}
