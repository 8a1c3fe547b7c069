#include <heed/data/confusion.h>

#include <cmath>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Classes = std::vector<int64_t>;

TEST_CASE("confusion matrix: counts and shares") {
  ConfusionMatrix matrix(3);
  CHECK(matrix.classes() == 3);
  CHECK(matrix.total() == 0);
  CHECK(std::isnan(matrix.accuracy()));
  matrix.add(Classes{0, 0, 0, 1}, Classes{0, 0, 1, 0});
  matrix.add(Classes{0, 1}, Classes{1, 1});
  matrix.add(Classes{}, Classes{});
  CHECK(matrix.total() == 6);
  CHECK(matrix.count(0, 0) == 2);
  CHECK(matrix.count(0, 1) == 2);
  CHECK(matrix.count(1, 0) == 1);
  CHECK(matrix.count(1, 1) == 1);
  CHECK(matrix.count(2, 2) == 0);
  CHECK(matrix.accuracy() == 0.5);
  auto by_class = matrix.accuracy_by_class();
  REQUIRE(by_class.size() == 3);
  CHECK(by_class[0] == 0.5);
  CHECK(by_class[1] == 0.5);
  CHECK(std::isnan(by_class[2]));  // no image of it
}

TEST_CASE("confusion matrix: as counted one by one") {
  ConfusionMatrix matrix(5);
  Generator random(3);
  Classes labels, predictions;
  int64_t counts[5][5] = {};
  for (int i = 0; i < 1000; ++i) {
    labels.push_back(static_cast<int64_t>(random.integer(5)));
    predictions.push_back(random.uniform() < 0.6 ? labels.back()
                                                 : static_cast<int64_t>(random.integer(5)));
    ++counts[labels.back()][predictions.back()];
  }
  for (size_t at = 0; at < 1000; at += 125)
    matrix.add(std::span(labels).subspan(at, 125), std::span(predictions).subspan(at, 125));
  int64_t right = 0;
  for (int label = 0; label < 5; ++label) {
    int64_t row = 0;
    for (int prediction = 0; prediction < 5; ++prediction) {
      CHECK(matrix.count(label, prediction) == counts[label][prediction]);
      row += counts[label][prediction];
    }
    right += counts[label][label];
    CHECK_THAT(matrix.accuracy_by_class()[static_cast<size_t>(label)],
               WithinRel(static_cast<double>(counts[label][label]) / static_cast<double>(row)));
  }
  CHECK_THAT(matrix.accuracy(), WithinRel(static_cast<double>(right) / 1000));
}

TEST_CASE("confusion matrix: a copy counts for itself") {
  ConfusionMatrix matrix(2);
  matrix.add(Classes{1}, Classes{1});
  ConfusionMatrix copy = matrix;
  copy.add(Classes{0}, Classes{1});
  CHECK(copy.total() == 2);
  CHECK(matrix.total() == 1);
}

TEST_CASE("confusion matrix: what is refused leaves it as it was") {
  for (int64_t classes : {0, -1})
    REQUIRE_THROWS_SAYING(ConfusionMatrix(classes), ValueError,
                          str("classes >= 1 expected, got ", classes));
  ConfusionMatrix matrix(2);
  REQUIRE_THROWS_SAYING(matrix.add(Classes{0, 1}, Classes{0}), ShapeError,
                        "2 labels, but 1 predictions");
  REQUIRE_THROWS_SAYING(matrix.add(Classes{0, 2}, Classes{0, 1}), ValueError,
                        "label 2 is out of range: there are 2 classes");
  REQUIRE_THROWS_SAYING(matrix.add(Classes{0, 1}, Classes{0, -1}), ValueError,
                        "prediction -1 is out of range");
  CHECK(matrix.total() == 0);
  CHECK_THROWS_AS(matrix.count(2, 0), ValueError);
  CHECK_THROWS_AS(matrix.count(0, -1), ValueError);
}
