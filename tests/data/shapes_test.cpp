#include <heed/data/shapes.h>

#include <algorithm>

#include <heed/tests/data/shape_checks.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
constexpr ImagePart kParts[] = {ImagePart::train, ImagePart::validation, ImagePart::test};
using Places = std::array<int64_t, 6>;
Places places_of(const ShapeScene& s) {
  return {s.x[0], s.x[1], s.y[0], s.y[1], s.side[0], s.side[1]};
}
}  // namespace

TEST_CASE("pairs: every one that fits a class, once; all marginals are equal") {
  std::set<std::array<int, 4>> seen;
  for (int label = 0; label < kAgreements; ++label) {
    Marginals counts;
    for (int n = 0; n < pair_count(label); ++n) {
      ShapePair pair = pair_of(label, n);
      CHECK(agreement(pair) == label);
      for (size_t j : {0, 1}) {
        REQUIRE((pair.kind[j] >= 0 && pair.kind[j] < kShapeKinds));
        REQUIRE((pair.colour[j] >= 0 && pair.colour[j] < kShapeColours));
      }
      CHECK(seen.insert({pair.kind[0], pair.kind[1], pair.colour[0], pair.colour[1]}).second);
      count_pair(counts, label, pair);
    }
    // Kind with colour, so each alone as well.
    REQUIRE(counts.size() == 2 * 16);
    for (auto [what, count] : counts) CHECK(count == pair_count(label) / 16);
    for (int n : {-1, pair_count(label)})
      REQUIRE_THROWS_SAYING(pair_of(label, n), ValueError, str("expected, got ", n));
  }
  CHECK(seen.size() == 256);  // all that there are
  for (int label : {-1, 4}) CHECK_THROWS_AS(pair_count(label), ValueError);
  CHECK_THROWS_AS(pair_of(4, 0), ValueError);
}

TEST_CASE("shapes: labels as their names say, and the same distributions in each class") {
  ShapeImages set({.count = 4 * 1600, .seed = 5});
  REQUIRE(set.class_names() == std::vector<std::string>{"kind", "colour", "both", "neither"});
  Marginals counts;
  double x[4] = {}, y[4] = {}, side[4] = {};
  for (int64_t i = 0; i < set.size(); ++i) {
    ShapeScene s = set.scene(i);
    auto label = static_cast<size_t>(set.label(i));
    REQUIRE(class_says(set.class_names()[label], s.pair));
    count_pair(counts, static_cast<int>(label), s.pair);
    for (size_t j : {0, 1}) {
      x[label] += static_cast<double>(s.x[j]) / 3200;
      y[label] += static_cast<double>(s.y[j]) / 3200;
      side[label] += static_cast<double>(s.side[j]) / 3200;
    }
  }
  check_marginals(counts, 100, 45);  // deviation 9.7
  for (int label : {1, 2, 3}) {
    CHECK_THAT(x[label], WithinAbs(x[0], 1));  // the means' deviation is 0.2
    CHECK_THAT(y[label], WithinAbs(y[0], 1));
    CHECK_THAT(side[label], WithinAbs(side[0], 0.1));
  }
}

TEST_CASE("shapes: one at each end, at least half a picture apart") {
  for (int64_t size : {16, 17, 18, 19, 31, 32, 64, 99, 256})
    for (ImagePart part : kParts) {
      CAPTURE(size);
      ShapeImages set({.count = 200, .seed = 3, .part = part, .size = size});
      CHECK(set.image_shape() == Shape{3, size, size});
      for (int64_t i = 0; i < set.size(); ++i) {
        ShapeScene s = set.scene(i);
        for (size_t j : {0, 1}) {
          REQUIRE((s.side[j] >= 4 && s.side[j] <= size / 4));
          REQUIRE((s.x[j] >= 0 && s.x[j] + s.side[j] <= size));
          REQUIRE((s.y[j] >= 0 && s.y[j] + s.side[j] <= size));
        }
        REQUIRE(s.x[0] + s.side[0] <= size / 4);
        REQUIRE(s.x[1] >= size - size / 4);
        REQUIRE(2 * (s.x[1] - (s.x[0] + s.side[0])) >= size);
      }
    }
}

TEST_CASE("shapes: the picture shows the scene and nothing else") {
  for (int64_t size : {16, 23, 32, 50}) {
    ShapeImages set({.count = 128, .seed = 7, .size = size});
    for (int64_t i = 0; i < set.size(); ++i) {
      CAPTURE(size, i);
      ShapeScene s = set.scene(i);
      Array picture = set.image(i);
      REQUIRE(picture.shape() == Shape{3, size, size});
      std::vector<std::array<int64_t, 3>> boxes;
      for (size_t j : {0, 1}) {
        Sighting seen = look_at(picture, s.x[j], s.y[j], s.side[j]);
        REQUIRE(seen.colour == s.pair.colour[j]);
        REQUIRE(seen.kind == s.pair.kind[j]);
        boxes.push_back({s.x[j], s.y[j], s.side[j]});
      }
      REQUIRE(count_background(picture, boxes) > size * size / 2);
    }
  }
}

TEST_CASE("shapes: a picture is a pure function of seed, part, size and index") {
  ShapeImages set({.count = 100, .seed = 1}), more({.count = 5000, .seed = 1}),
      other({.count = 100, .seed = 2}), test({.count = 100, .seed = 1, .part = ImagePart::test});
  std::set<uint64_t> sums;
  for (int64_t i = 99; i >= 0; --i) {
    CHECK(checksum(set.image(i)) == checksum(more.image(i)));
    for (auto* some : {&set, &other, &test}) sums.insert(checksum(some->image(i)));
  }
  CHECK(sums.size() == 300);
}

TEST_CASE("shapes: no picture is in two parts, whatever the seeds") {
  // Small pictures have few places, so that all of them occur.
  for (int64_t size : {16, 24}) {
    std::set<Places> seen[3];
    for (size_t p = 0; p < 3; ++p)
      for (uint64_t seed : {1, 2, 3}) {
        ShapeImages set({.count = 3000, .seed = seed, .part = kParts[p], .size = size});
        for (int64_t i = 0; i < set.size(); ++i) seen[p].insert(places_of(set.scene(i)));
      }
    for (auto [a, b] : {std::pair{0, 1}, {0, 2}, {1, 2}})
      for (const Places& places : seen[a]) REQUIRE(seen[b].count(places) == 0);
    if (size == 16) {  // 13 x 13 places
      CHECK(seen[0].size() + seen[1].size() + seen[2].size() == 169);
      CHECK(seen[0].size() > 115);  // 138 are expected
      CHECK(std::min(seen[1].size(), seen[2].size()) > 4);
    }
  }
}

TEST_CASE("shapes: published numbers depend on these very pictures") {
  CHECK(checksum(ShapeImages({.seed = 1}).image(0)) == 0xc0d5852a24def546);
  CHECK(checksum(ShapeImages({.seed = 1}).image(9999)) == 0x44ca83d583c8c92d);
  CHECK(checksum(ShapeImages({.seed = 2, .part = ImagePart::test, .size = 64}).image(3)) ==
        0xf3ee0057411ebacc);
}

TEST_CASE("shapes: options out of range") {
  for (int64_t count : {0, -1})
    REQUIRE_THROWS_SAYING(ShapeImages({.count = count}), ValueError,
                          str("shapes: count >= 1 expected, got ", count));
  for (int64_t size : {-1, 0, 15, 257})
    REQUIRE_THROWS_SAYING(ShapeImages({.size = size}), ValueError,
                          str("16 to 256 pixels expected, got ", size));
}
