#include <heed/core/lengths.h>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("lengths: numbers on the host, and one shared copy on the device") {
  Lengths a{5, 3, 9};
  REQUIRE(a.defined());
  REQUIRE(a.size() == 3);
  REQUIRE(a[1] == 3);
  REQUIRE(a.values() == std::vector<int64_t>{5, 3, 9});
  REQUIRE(a.max() == 9);
  REQUIRE_FALSE(a.all_equal());
  REQUIRE(a.minus(2) == Lengths{3, 1, 7});
  REQUIRE(to_string(a) == "[5, 3, 9]");

  Lengths b = a;
  Array array = a.array(kCpu);
  REQUIRE(array.shape() == Shape{3});
  REQUIRE(array.data<int64_t>()[2] == 9);
  REQUIRE(b.array(kCpu).shares_storage(array));
  REQUIRE_FALSE(Lengths({5, 3, 9}).array(kCpu).shares_storage(array));
}

TEST_CASE("lengths: undefined is not the same as no rows") {
  Lengths none;
  Lengths empty = std::vector<int64_t>{};
  REQUIRE_FALSE(none.defined());
  REQUIRE(empty.defined());
  REQUIRE_FALSE(none == empty);
  REQUIRE(none == Lengths());
  REQUIRE(none.size() == 0);
  REQUIRE_FALSE(none.minus(1).defined());
  REQUIRE(empty.array(kCpu).shape() == Shape{0});
  REQUIRE(empty.max() == 0);
  REQUIRE(empty.all_equal());
  REQUIRE_THROWS_SAYING(none.array(kCpu), ValueError, "undefined");
}

TEST_CASE("lengths: ranges are cut to the tokens that exist") {
  Ranges all = ranges_of({}, {}, 2, 7);
  REQUIRE(all.begin == std::vector<int64_t>{0, 0});
  REQUIRE(all.end == std::vector<int64_t>{7, 7});
  REQUIRE(all.equal);
  REQUIRE(all.whole(7));
  REQUIRE_FALSE(ranges_of({}, {7, 6}, 2, 7).whole(7));
  Ranges cut = ranges_of({-2, 3, 9}, {4, 2, 12}, 3, 7);
  REQUIRE(cut.begin == std::vector<int64_t>{0, 3, 7});
  REQUIRE(cut.end == std::vector<int64_t>{4, 3, 7});
  REQUIRE(cut.size(0) == 4);
  REQUIRE_FALSE(cut.equal);
  REQUIRE_THROWS_SAYING(ranges_of({1}, {}, 2, 7), ShapeError, "1 numbers for a batch of 2 rows");
}
