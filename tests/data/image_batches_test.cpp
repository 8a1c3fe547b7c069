#include <heed/data/image_batches.h>

#include <algorithm>
#include <limits>
#include <numeric>
#include <set>
#include <thread>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Rows = std::vector<int64_t>;

namespace {
const ImageStatistics kGrey{{0.4}, {0.25}}, kRgb{{0.4, 0.5, 0.6}, {0.25, 0.3, 0.2}};

bool same(const ImageBatch& a, const ImageBatch& b) {
  return a.labels == b.labels && a.rows == b.rows && a.images.shape() == b.images.shape() &&
         values<float>(a.images) == values<float>(b.images);
}

Rows rows_of(const ImageBatches& batches, int64_t epoch) {
  Rows all;
  for (int64_t i = 0; i < batches.count(epoch); ++i) {
    Rows rows = batches.get(epoch, i).rows;
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

Rows range(int64_t n) {
  Rows rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}
}  // namespace

TEST_CASE("image batches: normalised images with their labels, in order") {
  for (Shape shape : {Shape{7, 3, 4, 5}, Shape{7, 3, 2, 4, 5}}) {
    ImageSetPtr set = random_set(shape, 3);
    ImageBatches batches(set, {.batch = 3, .shuffle = false, .statistics = kRgb});
    REQUIRE(batches.count(0) == 3);
    for (int64_t index = 0; index < 3; ++index) {
      ImageBatch b = batches.get(4, index);
      Shape expected = shape;
      expected[0] = index < 2 ? 3 : 1;
      REQUIRE(b.images.shape() == expected);
      REQUIRE(b.images.dtype() == DType::f32);
      for (int64_t i = 0; i < expected[0]; ++i) {
        auto at = static_cast<size_t>(i);
        CHECK(b.rows[at] == index * 3 + i);
        CHECK(b.labels[at] == set->label(b.rows[at]));
        CHECK(values<float>(b.images.select(0, i)) ==
              values<float>(normalise(set->image(b.rows[at]), kRgb)));
      }
    }
  }
}

TEST_CASE("image batches: shuffled, every image once, a pure function of seed and epoch") {
  ImageSetPtr set = random_set({1000, 1, 1, 1}, 10);
  auto with_seed = [&](uint64_t seed) {
    return ImageBatches(set, {.batch = 64, .seed = seed, .statistics = kGrey});
  };
  ImageBatches batches = with_seed(9), again = with_seed(9), other = with_seed(10);
  std::set<Rows> orders;
  for (int64_t epoch : {0, 1, 2, 5, 1000000}) {
    Rows rows = rows_of(batches, epoch), sorted = rows;
    std::sort(sorted.begin(), sorted.end());
    CHECK(sorted == range(1000));
    CHECK(rows == rows_of(again, epoch));
    orders.insert({rows, rows_of(other, epoch)});
  }
  CHECK(orders.size() == 10);
  CHECK(orders.count(range(1000)) == 0);
}

TEST_CASE("image batches: a batch alone is as in the whole epoch") {
  ImageSetPtr set = random_set({50, 1, 16, 16}, 10);
  ImageBatchOptions options{.batch = 8,
                            .seed = 3,
                            .statistics = kGrey,
                            .augmentation = parse_augmentation("shift,crop,flip,erase")};
  ImageBatches whole(set, options);
  std::vector<ImageBatch> epochs[2];
  for (int64_t epoch : {0, 1})
    for (int64_t i = 0; i < whole.count(epoch); ++i) epochs[epoch].push_back(whole.get(epoch, i));
  CHECK(same(ImageBatches(set, options).get(1, 4), epochs[1][4]));
  CHECK(same(ImageBatches(set, options).make(epochs[1][4].rows, 1), epochs[1][4]));
  for (int64_t i = 6; i >= 0; --i) {  // backwards, the epochs in turn
    CHECK(same(whole.get(1, i), epochs[1][static_cast<size_t>(i)]));
    CHECK(same(whole.get(0, i), epochs[0][static_cast<size_t>(i)]));
  }
}

TEST_CASE("image batches: augmented by row and epoch, wherever the image comes") {
  ImageSetPtr set = random_set({20, 3, 16, 16}, 10);
  ImageBatches batches(set, {.batch = 6,
                             .seed = 3,
                             .statistics = kRgb,
                             .augmentation = parse_augmentation("shift,flip")});
  bool changed = false;
  for (int64_t epoch : {0, 3}) {
    ImageBatch b = batches.get(epoch, 1);
    for (int64_t i = 0; i < 6; ++i) {
      int64_t row = b.rows[static_cast<size_t>(i)];
      Array expected = normalise(set->image(row), kRgb);
      auto before = values<float>(expected);
      augment(expected, batches.options().augmentation, 3, epoch, row);
      CHECK(values<float>(b.images.select(0, i)) == values<float>(expected));
      changed |= before != values<float>(expected);
      CHECK(same(batches.make(std::vector{row}, epoch),
                 {b.images.slice(0, i, i + 1), {set->label(row)}, {row}}));
    }
  }
  CHECK(changed);
}

TEST_CASE("image batches: the last batch") {
  auto sizes = [](int64_t images, int64_t batch, bool drop_last) {
    ImageBatches batches(random_set({images, 1, 1, 1}, 1),
                         {.batch = batch, .statistics = kGrey, .drop_last = drop_last});
    Rows sizes;
    for (int64_t i = 0; i < batches.count(0); ++i) sizes.push_back(batches.get(0, i).images.dim(0));
    return sizes;
  };
  CHECK(sizes(10, 4, false) == Rows{4, 4, 2});
  CHECK(sizes(10, 4, true) == Rows{4, 4});
  CHECK(sizes(8, 4, false) == Rows{4, 4});
  CHECK(sizes(8, 4, true) == Rows{4, 4});
  CHECK(sizes(3, 4, false) == Rows{3});
  CHECK(sizes(3, 4, true) == Rows{3});  // the only one
  CHECK(sizes(1, 1, true) == Rows{1});
}

TEST_CASE("image batches: from several threads at a time") {
  ImageSetPtr set = random_set({60, 1, 8, 8}, 10);
  ImageBatches batches(set, {.batch = 7,
                             .seed = 2,
                             .statistics = kGrey,
                             .augmentation = parse_augmentation("shift,crop")});
  std::vector<ImageBatch> expected, made(36);
  for (int64_t i = 0; i < 36; ++i) expected.push_back(batches.get(i / 9, i % 9));
  std::vector<std::thread> threads;
  for (size_t t = 0; t < 4; ++t)
    threads.emplace_back([&, t] {
      for (size_t i = t; i < 36; i += 4)
        made[i] = batches.get(static_cast<int64_t>(i) / 9, static_cast<int64_t>(i) % 9);
    });
  for (auto& thread : threads) thread.join();
  for (size_t i = 0; i < 36; ++i) CHECK(same(made[i], expected[i]));
}

TEST_CASE("image batches: what is refused") {
  ImageSetPtr set = random_set({10, 1, 2, 2}, 2);
  auto make = [](const ImageSetPtr& of, const ImageBatchOptions& o) { return ImageBatches(of, o); };
  REQUIRE_THROWS_SAYING(make(nullptr, {.statistics = kGrey}), ValueError, "no images given");
  for (int64_t batch : {0, -1})
    REQUIRE_THROWS_SAYING(make(set, {.batch = batch, .statistics = kGrey}), ValueError,
                          str("batch >= 1 expected, got ", batch));
  REQUIRE_THROWS_SAYING(make(set, {.statistics = kRgb}), ShapeError, "1 channels expected, got 3");
  REQUIRE_THROWS_SAYING(make(set, {}), ShapeError, "1 channels expected, got 0");
  REQUIRE_THROWS_SAYING(make(set, {.statistics = {{std::numeric_limits<double>::infinity()}, {1}}}),
                        ValueError, "finite");
  ImageBatches batches = make(set, {.batch = 4, .statistics = kGrey});
  REQUIRE_THROWS_SAYING(batches.get(2, 3), ValueError, "batch 3 of 3 in epoch 2");
  CHECK_THROWS_AS(batches.get(0, -1), ValueError);
  CHECK_THROWS_AS(batches.get(-1, 0), ValueError);
  CHECK_THROWS_AS(batches.count(-1), ValueError);
  REQUIRE_THROWS_SAYING(batches.make(Rows{3, 10}, 0), ValueError, "row 10 of 10");
  CHECK_THROWS_AS(batches.make(Rows{-1}, 0), ValueError);
  CHECK_THROWS_AS(batches.make(Rows{}, 0), ValueError);
}
