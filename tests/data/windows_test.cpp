#include <heed/data/windows.h>

#include <algorithm>
#include <numeric>
#include <set>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Ids = std::vector<int64_t>;

namespace {
Ids range(int64_t n) {
  Ids ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), 0);
  return ids;
}
Ids values(const Array& a) { return Ids(a.data<int64_t>(), a.data<int64_t>() + a.numel()); }
Ids begins(const TokenWindows& windows, int64_t epoch) {
  Ids out;
  for (int64_t i = 0; i < windows.count(epoch); ++i) {
    TokenBatch b = windows.get(epoch, i);
    for (int64_t row = 0; row < b.inputs.dim(0); ++row)
      out.push_back(b.inputs.data<int64_t>()[row * b.inputs.dim(1)]);
  }
  return out;
}
}  // namespace

TEST_CASE("windows: in order, targets moved on by one, last batch smaller") {
  TokenWindows windows(range(12), {.batch = 2, .length = 3, .shuffle = false});
  REQUIRE(windows.count(0) == 2);
  TokenBatch first = windows.get(0, 0), last = windows.get(0, 1);
  CHECK(first.inputs.shape() == Shape{2, 3});
  CHECK(values(first.inputs) == Ids{0, 1, 2, 3, 4, 5});
  CHECK(values(first.targets) == Ids{1, 2, 3, 4, 5, 6});
  CHECK(values(last.inputs) == Ids{6, 7, 8});  // 9 10 11 has no target behind 11
  CHECK(begins(windows, 4) == begins(windows, 0));
}

TEST_CASE("windows: shuffled, without overlap, a pure function of seed and epoch") {
  TokenWindows windows(range(1000), {.batch = 4, .length = 10, .seed = 9}),
      same(range(1000), {.batch = 4, .length = 10, .seed = 9}),
      other(range(1000), {.batch = 4, .length = 10, .seed = 10});
  std::set<int64_t> phases;
  for (int64_t epoch = 0; epoch < 30; ++epoch) {
    Ids at = begins(windows, epoch);
    CHECK(at == begins(same, epoch));
    Ids sorted = at;
    std::sort(sorted.begin(), sorted.end());
    CHECK(at != sorted);
    CHECK((at.size() == 99 || at.size() == 98));
    for (size_t i = 1; i < sorted.size(); ++i) REQUIRE(sorted[i] == sorted[i - 1] + 10);
    phases.insert(sorted[0]);
  }
  CHECK(phases.size() > 7);
  CHECK(*phases.rbegin() < 10);
  CHECK(begins(windows, 0) != begins(windows, 1));
  CHECK(begins(windows, 0) != begins(other, 0));
}

TEST_CASE("windows: the shortest stream, and too short ones") {
  TokenWindows one(range(4), {.batch = 8, .length = 3});
  CHECK(one.count(3) == 1);
  CHECK(values(one.get(3, 0).targets) == Ids{1, 2, 3});
  REQUIRE_THROWS_SAYING(TokenWindows(range(3), {.length = 3}), ValueError,
                        "at least 4 tokens expected");
  CHECK_THROWS_AS(TokenWindows({}, {}), ValueError);
  CHECK_THROWS_AS(TokenWindows(range(9), {.batch = 0}), ValueError);
  CHECK_THROWS_AS(TokenWindows({1, -1, 2}, {.length = 2}), ValueError);
  REQUIRE_THROWS_SAYING(TokenWindows({1, 4, 2}, {.length = 2, .vocab = 4}), ValueError,
                        "has the id 4 outside the vocabulary of 4");
  CHECK_THROWS_AS(one.get(0, 1), ValueError);
  CHECK_THROWS_AS(one.get(0, -1), ValueError);
  CHECK_THROWS_AS(one.get(0, INT64_MAX), ValueError);
  CHECK_THROWS_AS(one.count(-1), ValueError);
}
