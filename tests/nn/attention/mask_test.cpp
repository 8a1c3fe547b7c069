#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;

namespace {
std::vector<double> row(const Tensor& map, int64_t b, int64_t i) {
  return map[std::min(b, map.dim(0) - 1)][0][i].to_vector();
}
using Row = std::vector<double>;
}  // namespace

TEST_CASE("mask: nothing means everything is visible") {
  Mask m;
  REQUIRE(m.to_string() == "no mask");
  REQUIRE(row(m.dense(2, 2, 3, kCpu), 1, 0) == Row{1, 1, 1});
  REQUIRE_FALSE(m.dense_bias(2, 2, 3, DType::f32).defined());
}

TEST_CASE("mask: padding by lengths and by ranges") {
  Mask m = Mask::padding({3, 1});
  Tensor map = m.dense(2, 3, 3, kCpu);
  REQUIRE(row(map, 0, 2) == Row{1, 1, 1});
  REQUIRE(row(map, 1, 0) == Row{1, 0, 0});
  REQUIRE(row(map, 1, 1) == Row{0, 0, 0});  // a padded query sees nothing
  Mask left = Mask::key_padding({0, 2}, {3, 3});
  REQUIRE(row(left.dense(2, 1, 3, kCpu), 1, 0) == Row{0, 0, 1});
  REQUIRE(left.key_ranges(2, 3).begin == std::vector<int64_t>{0, 2});
  REQUIRE(left.query_ranges(2, 3).whole(3));
}

TEST_CASE("mask: causal, window and offset share their origin") {
  Mask w = Mask::window(1, 0);
  REQUIRE(row(w.dense(1, 4, 4, kCpu), 0, 2) == Row{0, 1, 1, 0});
  REQUIRE(row(Mask().dense(1, 2, 4, kCpu, true), 0, 0) ==
          Row{1, 1, 1, 0});  // the last queries, by default
  Mask moved = Mask::offset({0, 1});
  Tensor map = moved.dense(2, 2, 3, kCpu, true);
  REQUIRE(row(map, 0, 0) == Row{1, 0, 0});
  REQUIRE(row(map, 1, 0) == Row{1, 1, 0});
  REQUIRE(row(Mask().dense(1, 4, 2, kCpu, true), 0, 0) == Row{0, 0});  // T > S: nothing to see yet
}

TEST_CASE("mask: the conjunction narrows ranges and windows and adds biases") {
  Mask m = Mask::key_padding({3, 2}) & Mask::key_padding({1, 0}, {4, 4}) & Mask::window(2, -1) &
           Mask::window(1, 1);
  REQUIRE(m.terms().key_begin == Lengths{1, 0});
  REQUIRE(m.terms().key_end == Lengths{3, 2});
  REQUIRE(m.terms().window_left == 1);
  REQUIRE(m.terms().window_right == 1);
  Tensor a = numbers({2, 2}, 1), b = numbers({2, 2}, 2);
  REQUIRE(difference((Mask::added(a) & Mask::added(b)).terms().bias, a + b) == 0);
  Tensor keep = less(a, 0.0), also = less(b, 0.0);
  REQUIRE((Mask::pairs(keep) & Mask::pairs(also)).terms().pair_mask.to_vector() ==
          logical_and(keep, also).to_vector());
}

TEST_CASE("mask: what cannot be joined or does not fit is refused") {
  Tensor slopes = ones({2});
  REQUIRE_THROWS_SAYING(Mask::alibi(slopes) & Mask::alibi(ones({2})), ValueError, "ALiBi");
  REQUIRE_NOTHROW(Mask::alibi(slopes) & Mask::alibi(slopes));
  REQUIRE_THROWS_SAYING(Mask::offset({1}) & Mask::offset({2}), ValueError, "offsets");
  REQUIRE_THROWS_SAYING(Mask::padding({1, 2}) & Mask::padding({1}), ShapeError, "2 and for 1");
  REQUIRE_THROWS_SAYING(Mask::padding({1, -2}), ValueError, "length -2 of row 1");
  REQUIRE_THROWS_SAYING(Mask::window(-2, 0), ValueError, "-2");
  REQUIRE_THROWS_SAYING(Mask::pairs(ones({2, 2})), DTypeError, "true = keep");
  REQUIRE_THROWS_SAYING(Mask::added(less(slopes, 0.0)), DTypeError, "Mask::pairs");
  auto check = [](const Mask& m, const Shape& map, const char* who) {
    check_terms(m.terms(), map, DType::f32, who);
  };
  REQUIRE_THROWS_SAYING(check(Mask::padding({1, 2}), {3, 1, 2, 2}, "dense"), ShapeError,
                        "dense: key padding for 2");
  REQUIRE_THROWS_SAYING(check(Mask::alibi(slopes), {1, 4, 2, 2}, "dense"), ShapeError,
                        "dense: ALiBi slopes [2], one a head expected: [4]");
  REQUIRE_THROWS_SAYING(check(Mask::added(ones({3, 3})), {1, 1, 2, 3}, "x"), ShapeError,
                        "x: the bias [3, 3] does not broadcast");
  REQUIRE_THROWS_SAYING(check(Mask::added(ones({2, 3}, DType::f64)), {1, 1, 2, 3}, "x"), DTypeError,
                        "x: the bias is f64 but q is f32");
}

TEST_CASE("mask: rows of a mask see what they saw") {
  Tensor keep = less(numbers({2, 1, 5, 4}, 3), 0.5), bias = numbers({5, 4}, 4);
  Mask m = Mask::padding({0, 1}, {4, 3}) & Mask::window(2, 1) & Mask::pairs(keep) &
           Mask::added(bias) & Mask::alibi(Tensor::from({0.5f}, {1}));
  for (bool causal : {false, true}) {
    Tensor whole = m.dense(2, 5, 4, kCpu, causal),
           part = m.rows(1, 3, 2, 5, 4).dense(2, 3, 4, kCpu, causal);
    REQUIRE(part.to_vector() == whole.slice(2, 1, 4).to_vector());
  }
  Tensor whole = m.dense_bias(2, 5, 4, DType::f64),
         part = m.rows(1, 3, 2, 5, 4).dense_bias(2, 3, 4, DType::f64);
  REQUIRE(difference(part[0], whole[0].slice(1, 1, 4)) == 0);
  REQUIRE_THROWS_SAYING(m.rows(4, 2, 2, 5, 4), ValueError, "of 5 queries");
}

TEST_CASE("mask: padded tokens are selected to zero, NaN too") {
  double nan = std::numeric_limits<double>::quiet_NaN();
  Tensor x = with_garbage(numbers({2, 3, 2}, 5), {0, 1}, {2, 3}, nan);
  Mask m = Mask::padding({0, 1}, {2, 3});
  Tensor y = m.select_keys(x, 1);
  REQUIRE(all_finite(y));
  REQUIRE(all_zero(y[0][2]));
  REQUIRE(y[0][1].to_vector() == x[0][1].to_vector());
  REQUIRE(Mask().select_keys(x, 1).impl() == x.impl());
  REQUIRE(all_finite(m.select_tokens(x, 1)));
  REQUIRE(all_finite(Mask::key_padding({0, 1}, {2, 3}).select_tokens(x, 1)));
  // Padding as key but a query: kept.
  Mask both = Mask::key_padding({1, 1}) & Mask::query_padding({2, 2});
  Tensor z = both.select_tokens(ones({2, 3, 1}), 1);
  REQUIRE(z.to_vector() == Row{1, 1, 0, 1, 1, 0});
  REQUIRE_THROWS_SAYING(m.select_keys(ones({3, 3, 1}), 1), ShapeError, "padding for 2 rows");
}

TEST_CASE("mask: one side's word on finite padding does not cover the other's") {
  Mask a = Mask::padding({1, 2}).with_finite_padding(), b = Mask::padding({2, 2});
  Tensor x = ones({2, 3, 1});
  auto kept = [&](const Mask& m) {  // all three follow the word
    bool tokens = m.finite_tokens(x, 1).impl() == x.impl();
    REQUIRE((m.finite_keys(x, 1).impl() == x.impl()) == tokens);
    REQUIRE((m.finite_queries(x, 1).impl() == x.impl()) == tokens);
    return tokens;
  };
  REQUIRE(kept(a));
  REQUIRE(kept(a & Mask::window(1, 1)));
  REQUIRE(kept(Mask::window(1, 1) & a));
  REQUIRE_FALSE(kept(b));
  REQUIRE_FALSE(kept(a & b));
  REQUIRE(kept(a & b.with_finite_padding()));
  REQUIRE(a.select_keys(x, 1).to_vector() == Row{1, 0, 0, 1, 1, 0});  // asked for zeros
}
