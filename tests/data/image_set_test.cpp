#include <heed/data/image_set.h>

#include <algorithm>
#include <numeric>
#include <set>

#include <heed/core/error.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Indices = std::vector<int64_t>;

namespace {
// A set of 1 x 1 pictures with these labels.
ImageSetPtr labelled(const Indices& labels, int64_t classes) {
  return std::make_shared<MemoryImages>(
      random_image({static_cast<int64_t>(labels.size()), 1, 1, 1}), labels,
      std::vector<std::string>(static_cast<size_t>(classes), "class"));
}

Indices counts_of(const ImageSet& set, const Indices& chosen) {
  Indices counts(static_cast<size_t>(set.classes()));
  for (int64_t i : chosen) ++counts[static_cast<size_t>(set.label(i))];
  return counts;
}

bool is_partition(const ImageSplit& split, int64_t size) {
  if (!std::is_sorted(split.rest.begin(), split.rest.end())) return false;
  if (!std::is_sorted(split.held_out.begin(), split.held_out.end())) return false;
  Indices all = split.rest, expected(static_cast<size_t>(size));
  all.insert(all.end(), split.held_out.begin(), split.held_out.end());
  std::sort(all.begin(), all.end());
  std::iota(expected.begin(), expected.end(), 0);
  return all == expected;
}
}  // namespace

TEST_CASE("images in memory: shapes, labels and views") {
  Array pixels = random_image({6, 3, 4, 5});
  MemoryImages set(pixels, {0, 1, 2, 0, 1, 2}, {"a", "b", "c"});
  CHECK(set.size() == 6);
  CHECK(set.classes() == 3);
  CHECK(set.class_names()[2] == "c");
  CHECK(set.image_shape() == Shape{3, 4, 5});
  CHECK(set.label(4) == 1);
  CHECK(values<uint8_t>(set.image(4)) == values<uint8_t>(pixels.select(0, 4)));
  CHECK(set.image(4).shares_storage(pixels));
  CHECK(MemoryImages(random_image({2, 1, 3, 4, 5}), {0, 0}, {"a"}).image_shape() ==
        Shape{1, 3, 4, 5});
}

TEST_CASE("images in memory: what is refused") {
  auto make = [](const Array& images, const Indices& labels) {
    return MemoryImages(images, labels, {"a", "b"});
  };
  REQUIRE_THROWS_SAYING(make(Array(), {}), DTypeError, "an undefined array");
  REQUIRE_THROWS_SAYING(make(Array::zeros({1, 1, 2, 2}, DType::f32, kCpu), {0}), DTypeError,
                        "u8 images expected, got f32");
  for (Shape shape : {Shape{2, 3, 4}, Shape{2, 2, 4, 4}, Shape{2, 4, 4, 4}, Shape{0, 3, 4, 4},
                      Shape{2, 3, 0, 4}, Shape{2, 3, 1, 1, 4, 4}})
    REQUIRE_THROWS_SAYING(make(Array::zeros(shape, DType::u8, kCpu), {0, 1}), ShapeError,
                          str("C = 1 or 3 expected, got ", shape));
  REQUIRE_THROWS_SAYING(make(random_image({2, 1, 4, 5}).transpose(2, 3), {0, 1}), ShapeError,
                        "row-major");
  REQUIRE_THROWS_SAYING(make(random_image({2, 1, 4, 5}), {0}), ShapeError, "2 images, but 1 label");
  REQUIRE_THROWS_SAYING(make(random_image({2, 1, 4, 5}), {0, 2}), ValueError,
                        "image 1 has label 2, but there are 2 classes");
  REQUIRE_THROWS_SAYING(make(random_image({2, 1, 4, 5}), {-1, 0}), ValueError,
                        "image 0 has label -1");
}

TEST_CASE("a subset: those images in this order, all classes stay") {
  ImageSetPtr set = random_set({10, 1, 2, 3}, 5);
  ImageSetPtr some = subset(set, {7, 2, 7});
  REQUIRE(some->size() == 3);
  CHECK(some->classes() == 5);
  CHECK(some->class_names() == set->class_names());
  CHECK(some->image_shape() == Shape{1, 2, 3});
  for (auto [i, from] : {std::pair{0, 7}, {1, 2}, {2, 7}}) {
    CHECK(some->label(i) == set->label(from));
    CHECK(values<uint8_t>(some->image(i)) == values<uint8_t>(set->image(from)));
  }
  CHECK(subset(some, {1})->label(0) == set->label(2));
  REQUIRE_THROWS_SAYING(subset(set, {}), ValueError, "no image chosen");
  REQUIRE_THROWS_SAYING(subset(set, {0, 10}), ValueError, "image 10 of a set of 10");
  REQUIRE_THROWS_SAYING(subset(set, {-1}), ValueError, "image -1 of a set of 10");
}

TEST_CASE("a split holds out of every class in proportion, exact to one image") {
  Generator random(5);
  for (int round = 0; round < 200; ++round) {
    int64_t classes = 1 + static_cast<int64_t>(random.integer(7));
    Indices labels(2 + random.integer(200));
    // Of unequal frequency: the smaller of two numbers.
    for (int64_t& label : labels)
      label = static_cast<int64_t>(std::min(random.integer(static_cast<uint64_t>(classes)),
                                            random.integer(static_cast<uint64_t>(classes))));
    ImageSetPtr set = labelled(labels, classes);
    int64_t held_out = 1 + static_cast<int64_t>(random.integer(labels.size() - 1));
    CAPTURE(classes, labels.size(), held_out);
    ImageSplit split = split_by_class(*set, held_out, random.integer(1000));
    REQUIRE(is_partition(split, set->size()));
    REQUIRE(static_cast<int64_t>(split.held_out.size()) == held_out);
    Indices all = counts_of(*set, split.rest), out = counts_of(*set, split.held_out);
    for (size_t c = 0; c < all.size(); ++c) {
      double share =
          static_cast<double>((all[c] + out[c]) * held_out) / static_cast<double>(set->size());
      REQUIRE(std::abs(static_cast<double>(out[c]) - share) < 1);
    }
  }
}

TEST_CASE("a split by class is seeded, and its images are drawn evenly") {
  Indices labels(60);
  for (size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<int64_t>(i % 3);
  ImageSetPtr set = labelled(labels, 3), same = labelled(labels, 3);
  std::set<Indices> different;
  Indices taken(60);
  for (uint64_t seed = 0; seed < 1000; ++seed) {
    ImageSplit split = split_by_class(*set, 15, seed);
    CHECK(split.held_out == split_by_class(*same, 15, seed).held_out);
    CHECK(counts_of(*set, split.held_out) == Indices{5, 5, 5});
    different.insert(split.held_out);
    for (int64_t i : split.held_out) ++taken[static_cast<size_t>(i)];
  }
  CHECK(different.size() == 1000);
  // Each image is expected 250 times, with a deviation of 13.7.
  CHECK(*std::min_element(taken.begin(), taken.end()) > 190);
  CHECK(*std::max_element(taken.begin(), taken.end()) < 310);
}

TEST_CASE("a split by class: limits") {
  ImageSetPtr set = labelled({0, 0, 1}, 2);
  for (int64_t held_out : {-1, 0, 3, 4})
    REQUIRE_THROWS_SAYING(split_by_class(*set, held_out, 0), ValueError,
                          str("1 to 2 of 3 images can be held out, not ", held_out));
  CHECK(split_by_class(*set, 2, 0).rest.size() == 1);
  CHECK(is_partition(split_by_class(*labelled({4, 4}, 5), 1, 0), 2));  // classes without an image
}

TEST_CASE("every n-th image is held out") {
  ImageSetPtr set = labelled(Indices(11, 0), 1);
  ImageSplit split = split_every(*set, 5);
  CHECK(split.held_out == Indices{4, 9});
  CHECK(is_partition(split, 11));
  CHECK(split_every(*set, 11).held_out == Indices{10});
  for (int64_t n : {-1, 0, 1, 12})
    REQUIRE_THROWS_SAYING(split_every(*set, n), ValueError, str("2 to 11 expected, got ", n));
}
