#include <heed/data/clips.h>

#include <algorithm>

#include <heed/tests/data/shape_checks.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
constexpr ImagePart kParts[] = {ImagePart::train, ImagePart::validation, ImagePart::test};
using Places = std::array<int64_t, 10>;
Places places_of(const ClipScene& s) {
  return {s.x[0],    s.x[1],   s.y[0],   s.y[1],     s.side[0],
          s.side[1], s.end[0], s.end[1], s.begin[0], s.begin[1]};
}
}  // namespace

TEST_CASE("clips: labels as their names say, and the same distributions in each class") {
  ClipImages set({.count = 4 * 1600, .seed = 5, .frames = 16});
  REQUIRE(set.class_names() == std::vector<std::string>{"kind", "colour", "both", "neither"});
  Marginals counts;
  double begin[4] = {}, shown[4] = {}, side[4] = {};
  for (int64_t i = 0; i < set.size(); ++i) {
    ClipScene s = set.scene(i);
    auto label = static_cast<size_t>(set.label(i));
    REQUIRE(class_says(set.class_names()[label], s.pair));
    count_pair(counts, static_cast<int>(label), s.pair);
    for (size_t j : {0, 1}) {
      begin[label] += static_cast<double>(s.begin[j]) / 3200;
      shown[label] += static_cast<double>(s.end[j] - s.begin[j]) / 3200;
      side[label] += static_cast<double>(s.side[j]) / 3200;
    }
  }
  check_marginals(counts, 100, 45);
  for (int label : {1, 2, 3}) {
    CHECK_THAT(begin[label], WithinAbs(begin[0], 0.1));
    CHECK_THAT(shown[label], WithinAbs(shown[0], 0.1));
    CHECK_THAT(side[label], WithinAbs(side[0], 0.2));
  }
}

TEST_CASE("clips: one event at each end, at least half a clip apart") {
  for (auto [frames, size] :
       {std::pair{4, 8}, {5, 9}, {7, 16}, {8, 16}, {13, 20}, {32, 31}, {256, 128}})
    for (ImagePart part : kParts) {
      CAPTURE(frames, size);
      ClipImages set({.count = 200, .seed = 3, .part = part, .frames = frames, .size = size});
      CHECK(set.image_shape() == Shape{3, frames, size, size});
      for (int64_t i = 0; i < set.size(); ++i) {
        ClipScene s = set.scene(i);
        for (size_t j : {0, 1}) {
          REQUIRE((s.side[j] >= 4 && s.side[j] <= size / 2));
          REQUIRE((s.x[j] >= 0 && s.x[j] + s.side[j] <= size));
          REQUIRE((s.y[j] >= 0 && s.y[j] + s.side[j] <= size));
          REQUIRE((s.begin[j] >= 0 && s.begin[j] < s.end[j] && s.end[j] <= frames));
        }
        REQUIRE(s.end[0] <= frames / 4);
        REQUIRE(s.begin[1] >= frames - frames / 4);
        REQUIRE(2 * (s.begin[1] - s.end[0]) >= frames);
      }
    }
}

TEST_CASE("clips: the frames show the scene and nothing else") {
  for (auto [frames, size] : {std::pair{8, 16}, {4, 8}, {13, 21}}) {
    ClipImages set({.count = 128, .seed = 7, .frames = frames, .size = size});
    for (int64_t i = 0; i < set.size(); ++i) {
      CAPTURE(frames, size, i);
      ClipScene s = set.scene(i);
      Array clip = set.image(i);
      REQUIRE(clip.shape() == Shape{3, frames, size, size});
      for (int64_t frame = 0; frame < frames; ++frame) {
        Array picture = clip.select(1, frame);
        std::vector<std::array<int64_t, 3>> boxes;
        for (size_t j : {0, 1}) {
          if (frame < s.begin[j] || frame >= s.end[j]) continue;
          Sighting seen = look_at(picture, s.x[j], s.y[j], s.side[j]);
          REQUIRE(seen.colour == s.pair.colour[j]);
          REQUIRE(seen.kind == s.pair.kind[j]);
          boxes.push_back({s.x[j], s.y[j], s.side[j]});
        }
        REQUIRE(boxes.size() < 2);
        count_background(picture, boxes);
      }
    }
  }
}

TEST_CASE("clips: a clip is a pure function of seed, part, sizes and index") {
  ClipImages set({.count = 100, .seed = 1}), more({.count = 5000, .seed = 1}),
      other({.count = 100, .seed = 2}), test({.count = 100, .seed = 1, .part = ImagePart::test});
  std::set<uint64_t> sums;
  for (int64_t i = 99; i >= 0; --i) {
    CHECK(checksum(set.image(i)) == checksum(more.image(i)));
    for (auto* some : {&set, &other, &test}) sums.insert(checksum(some->image(i)));
  }
  CHECK(sums.size() == 300);
}

TEST_CASE("clips: no clip is in two parts, whatever the seeds") {
  std::set<Places> seen[3];  // of 4 frames and 8 x 8 pixels there are 625
  for (size_t p = 0; p < 3; ++p)
    for (uint64_t seed : {1, 2, 3}) {
      ClipImages set({.count = 3000, .seed = seed, .part = kParts[p], .frames = 4, .size = 8});
      for (int64_t i = 0; i < set.size(); ++i) seen[p].insert(places_of(set.scene(i)));
    }
  for (auto [a, b] : {std::pair{0, 1}, {0, 2}, {1, 2}})
    for (const Places& places : seen[a]) REQUIRE(seen[b].count(places) == 0);
  CHECK(seen[0].size() + seen[1].size() + seen[2].size() == 625);
  CHECK(std::min(seen[1].size(), seen[2].size()) > 30);  // 57 are expected
}

TEST_CASE("clips: published numbers depend on these very pictures") {
  CHECK(checksum(ClipImages({.seed = 1}).image(0)) == 0x8ea5e0194c8c9721);
  CHECK(checksum(ClipImages({.seed = 1}).image(9999)) == 0x40536cdf193e935e);
  CHECK(checksum(
            ClipImages({.seed = 2, .part = ImagePart::test, .frames = 16, .size = 32}).image(3)) ==
        0xf142a5d9e33c8916);
}

TEST_CASE("clips: options out of range") {
  for (int64_t count : {0, -1})
    REQUIRE_THROWS_SAYING(ClipImages({.count = count}), ValueError,
                          str("clips: count >= 1 expected, got ", count));
  for (int64_t frames : {-1, 0, 3, 257})
    REQUIRE_THROWS_SAYING(ClipImages({.frames = frames}), ValueError,
                          str("4 to 256 frames expected, got ", frames));
  for (int64_t size : {-1, 0, 7, 129})
    REQUIRE_THROWS_SAYING(ClipImages({.size = size}), ValueError,
                          str("8 to 128 pixels expected, got ", size));
}
