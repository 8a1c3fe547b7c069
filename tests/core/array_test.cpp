#include <heed/core/array.h>

#include <numeric>

#include <heed/tests/support/catch.h>

using namespace heed;

static Array counting(const Shape& shape) {
  std::vector<float> values(static_cast<size_t>(shape.numel()));
  std::iota(values.begin(), values.end(), 0.f);
  return Array::from(values, shape);
}

static float at(const Array& a, std::initializer_list<int64_t> index) {
  int64_t offset = 0;
  int axis = 0;
  for (int64_t i : index) offset += i * a.strides()[axis++];
  return a.data<float>()[offset];
}

TEST_CASE("views share storage and read the right elements") {
  Array a = counting({2, 3, 4});
  REQUIRE(a.is_contiguous());
  Array t = a.transpose(0, -1);
  REQUIRE(t.shape() == Shape{4, 3, 2});
  REQUIRE(t.shares_storage(a));
  REQUIRE_FALSE(t.is_contiguous());
  REQUIRE(at(t, {3, 1, 1}) == at(a, {1, 1, 3}));
  Array p = a.permute({1, 2, 0});
  REQUIRE(at(p, {2, 3, 1}) == 23);
  Array s = a.slice(2, 1, 4, 2);
  REQUIRE(s.shape() == Shape{2, 3, 2});
  REQUIRE(at(s, {1, 0, 1}) == 15);
  REQUIRE(at(a.select(1, 2), {1, 3}) == 23);
  Array b = a.slice(0, 0, 1).broadcast_to({5, 3, 4});
  REQUIRE(b.strides()[0] == 0);
  REQUIRE(at(b, {4, 2, 3}) == 11);
  REQUIRE(a.unsqueeze(1).squeeze(1).shape() == a.shape());
}

TEST_CASE("view finds a reshape without a copy exactly where one exists") {
  Array a = counting({2, 3, 4});
  REQUIRE(at(a.view({6, 4}), {5, 3}) == 23);
  Array t = a.transpose(1, 2);  // [2, 4, 3] with strides 12 1 4
  REQUIRE_FALSE(t.can_view({2, 12}));
  REQUIRE(t.can_view({2, 2, 2, 3}));
  REQUIRE(at(t.view({2, 2, 2, 3}), {1, 1, 1, 2}) == at(t, {1, 3, 2}));
  Array rows = a.slice(2, 0, 2);  // [2, 3, 2] with strides 12 4 1
  REQUIRE(rows.can_view({6, 2}));
  REQUIRE_FALSE(rows.can_view({12}));
  REQUIRE(rows.can_view({2, 1, 3, 2, 1}));
  REQUIRE_THROWS_SAYING(rows.view({12}), ShapeError, "[2, 3, 2]");
  REQUIRE(Array::empty({0, 3}, DType::f32, kCpu).can_view({3, 0}));
  REQUIRE_FALSE(a.can_view({5}));
}

TEST_CASE("zero sizes and rank 0") {
  Array scalar = Array::from({7.f}, {});
  REQUIRE(scalar.numel() == 1);
  REQUIRE(at(scalar, {}) == 7);
  Array none = Array::zeros({0, 4}, DType::f32, kCpu);
  REQUIRE(none.numel() == 0);
  REQUIRE(none.slice(0, 0, 0).shape() == Shape{0, 4});
  REQUIRE(none.is_contiguous());
}

TEST_CASE("bad shapes and axes are named") {
  constexpr int64_t kHuge = int64_t{1} << 40;
  Array a = counting({2, 3});
  REQUIRE_THROWS_SAYING(a.transpose(0, 2), ShapeError, "axis 2 is out of range for rank 2");
  REQUIRE_THROWS_SAYING(a.permute({0, 0}), ShapeError, "axis 0 twice");
  REQUIRE_THROWS_SAYING(a.permute({0}), ShapeError, "[2, 3]");
  REQUIRE_THROWS_SAYING(a.slice(1, 2, 5), ShapeError, "[2, 5)");
  REQUIRE_THROWS_SAYING(a.select(0, -3), ShapeError, "-3");
  REQUIRE_THROWS_SAYING(a.squeeze(0), ShapeError, "is not 1");
  REQUIRE_THROWS_SAYING(a.broadcast_to({2, 4}), ShapeError, "[2, 4]");
  REQUIRE_THROWS_SAYING(a.data<double>(), DTypeError, "f64 asked of an array of f32");
  REQUIRE_THROWS_SAYING(Array::empty({-1}, DType::f32, kCpu), ShapeError, "negative");
  REQUIRE_THROWS_SAYING(Array::empty({kHuge, kHuge}, DType::f32, kCpu), ShapeError, "too many");
  // Without elements as well: strides or numel() would overflow.
  for (const Shape& shape : {Shape{0, kHuge, kHuge}, {kHuge, kHuge, 0}}) {
    REQUIRE_THROWS_SAYING(Array::empty(shape, DType::f32, kCpu), ShapeError, "too many");
    REQUIRE_THROWS_SAYING(counting({0}).view(shape), ShapeError, "too many");
  }
  REQUIRE_THROWS_SAYING(counting({1}).broadcast_to({kHuge, kHuge}), ShapeError, "too many");
  for (const Shape& shape : {Shape{0, kHuge}, {kHuge, 0, kHuge}, {0, INT64_MAX}})
    REQUIRE(Array::empty(shape, DType::f32, kCpu).numel() == 0);
  REQUIRE_THROWS_SAYING(Array::from({1.f, 2.f}, {3}), ShapeError, "2 values for shape [3]");
  REQUIRE_THROWS_SAYING((Shape{1, 1, 1, 1, 1, 1, 1, 1, 1}), ShapeError, "rank 9");
  REQUIRE_THROWS_SAYING(broadcast({2, 3}, {4}, "add"), ShapeError,
                        "add: shapes do not broadcast: [2, 3] and [4]");
}

TEST_CASE("broadcast follows NumPy's rule") {
  REQUIRE(broadcast({2, 1, 3}, {4, 1}, "op") == Shape{2, 4, 3});
  REQUIRE(broadcast({}, {3}, "op") == Shape{3});
  REQUIRE(broadcast({1}, {0}, "op") == Shape{0});
  REQUIRE(broadcastable_to({3, 1}, {2, 3, 5}));
  REQUIRE_FALSE(broadcastable_to({2}, {3}));
}
