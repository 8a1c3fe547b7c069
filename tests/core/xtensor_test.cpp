#include <heed/core/xtensor.h>

#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("xtensor expressions become arrays, arrays become xtensor views") {
  xt::xarray<double> x = {{1., 2., 3.}, {4., 5., 6.}};
  Array a = from_xtensor(xt::transpose(x) * 2.0);
  REQUIRE(a.shape() == Shape{3, 2});
  REQUIRE(a.data<double>()[1] == 8);
  auto view = as_xtensor<double>(a.transpose(0, 1));
  REQUIRE(view(1, 2) == 12);
  view(0, 0) = -1;
  REQUIRE(a.data<double>()[0] == -1);
  auto wide = as_xtensor<double>(a.select(0, 0).unsqueeze(0).broadcast_to({4, 2}));
  REQUIRE(wide(3, 1) == 8);
  REQUIRE_THROWS_AS(as_xtensor<float>(a), DTypeError);
  auto fixed = as_xtensor<double, 2>(a.transpose(0, 1));
  REQUIRE(fixed(1, 2) == 12);
  auto row = as_xtensor<double, 3>(a.slice(0, 1, 2).unsqueeze(0));
  REQUIRE(row(0, 0, 1) == 10);
  REQUIRE_THROWS_AS((as_xtensor<double, 3>(a)), ShapeError);
}
