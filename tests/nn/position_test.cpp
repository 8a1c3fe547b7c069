#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::AlibiSlopes;
using nn::RopeLayout;

TEST_CASE("sinusoidal: sine and cosine interleaved") {
  Tensor p = nn::sinusoidal_table(50, 6, {.dtype = DType::f64});
  REQUIRE(p[0].to_vector() == std::vector<double>{0, 1, 0, 1, 0, 1});
  REQUIRE_THAT(p[7][0].item(), WithinAbs(std::sin(7.0), 1e-15));
  REQUIRE_THAT(p[7][3].item(), WithinAbs(std::cos(7.0 / std::pow(10000.0, 2.0 / 6)), 1e-15));
  REQUIRE_THAT(p[49][4].item(), WithinAbs(std::sin(49.0 / std::pow(10000.0, 4.0 / 6)), 1e-15));
}

TEST_CASE("sinusoidal grid: half the channels by row, half by column") {
  Tensor p = nn::sinusoidal_grid(3, 5, 8, {.dtype = DType::f64});
  REQUIRE(p.shape() == Shape{15, 8});
  std::vector<double> cell = p[2 * 5 + 4].to_vector();
  for (size_t half : {size_t{0}, size_t{1}}) {
    double at = half ? 4 : 2;
    REQUIRE_THAT(cell[4 * half], WithinAbs(std::sin(at), 1e-15));
    REQUIRE_THAT(cell[4 * half + 1], WithinAbs(std::cos(at), 1e-15));
    REQUIRE_THAT(cell[4 * half + 2], WithinAbs(std::sin(at / 100), 1e-15));
    REQUIRE_THAT(cell[4 * half + 3], WithinAbs(std::cos(at / 100), 1e-15));
  }
  REQUIRE_THROWS_SAYING(nn::sinusoidal_grid(3, 5, 6), ValueError, "width 6 for a grid of 3 x 5");
}

TEST_CASE("sinusoidal positions: added from any start, per row while decoding") {
  nn::SinusoidalPositions positions(6);
  Tensor x = zeros({2, 3, 6}), table = nn::sinusoidal_table(200, 6);
  REQUIRE(difference(positions.forward(x)[1], table.slice(0, 0, 3)) == 0);
  REQUIRE(difference(positions.forward(x, 150)[0], table.slice(0, 150, 153)) == 0);
  Tensor y = positions.forward(x, {4, 100});
  REQUIRE(difference(y[0], table.slice(0, 4, 7)) == 0);
  REQUIRE(difference(y[1], table.slice(0, 100, 103)) == 0);
  REQUIRE(positions.state_dict().empty());
  REQUIRE_THROWS_SAYING(positions.forward(zeros({2, 3, 5})), ShapeError, "[B, T, 6]");
  REQUIRE_THROWS_SAYING(positions.forward(x, Lengths{1}), ShapeError, "[2]");
}

TEST_CASE("learned positions: trained rows, a limit that is named") {
  nn::LearnedPositions positions(8, 4);
  Tensor x = zeros({1, 3, 4});
  REQUIRE(difference(positions.forward(x, 2)[0], positions.weight.slice(0, 2, 5)) == 0);
  REQUIRE(difference(positions.forward(x, Lengths{5})[0], positions.weight.slice(0, 5, 8)) == 0);
  sum(positions.forward(x, 2)).backward();
  REQUIRE(all_zero(positions.weight.grad()[0]));
  REQUIRE_FALSE(all_zero(positions.weight.grad()[2]));
  REQUIRE_THROWS_SAYING(positions.forward(x, 6), ValueError, "only 8 positions");
  REQUIRE_THROWS_SAYING(positions.forward(x, Lengths{6}), ValueError, "only 8 positions");
}

TEST_CASE("RoPE: scores depend on relative positions only, norms are kept") {
  RopeLayout layout = GENERATE(RopeLayout::interleaved, RopeLayout::half_split);
  nn::Rope rope(8, {.layout = layout});
  Tensor q = numbers({1, 1, 1, 8}, 1), k = numbers({1, 1, 1, 8}, 2);
  auto score = [&](int64_t m, int64_t n) {
    return sum(rope.forward(q, m) * rope.forward(k, n)).item();
  };
  double near = score(5, 3);
  REQUIRE_THAT(score(2, 0), WithinAbs(near, 1e-12));
  REQUIRE_THAT(score(1005, 1003), WithinAbs(near, 1e-11));
  REQUIRE(std::fabs(score(3, 5) - near) > 1e-3);
  REQUIRE_THAT(sum(square(rope.forward(q, 77))).item(), WithinRel(sum(square(q)).item(), 1e-13));
  REQUIRE(difference(rope.forward(q, 0), q) == 0);
}

TEST_CASE("RoPE: the first pair turns by the position in radians") {
  Tensor x = Tensor::from(std::vector<double>{1, 0, 0, 0}, {1, 1, 1, 4});
  std::vector<double> pairs =
      nn::Rope(4, {.layout = RopeLayout::interleaved}).forward(x, 3).to_vector();
  REQUIRE_THAT(pairs[0], WithinAbs(std::cos(3.0), 1e-15));
  REQUIRE_THAT(pairs[1], WithinAbs(std::sin(3.0), 1e-15));
  std::vector<double> halves =
      nn::Rope(4, {.layout = RopeLayout::half_split}).forward(x, 3).to_vector();
  REQUIRE_THAT(halves[2], WithinAbs(std::sin(3.0), 1e-15));
  REQUIRE(halves[1] == 0);
}

TEST_CASE("RoPE on a grid: scores depend on the distance along each axis") {
  RopeLayout layout = GENERATE(RopeLayout::interleaved, RopeLayout::half_split);
  constexpr int64_t kRows = 4, kColumns = 6;
  nn::Rope rope(8, {.base = 100, .layout = layout, .grid = {kRows, kColumns}, .unrotated = 1});
  Tensor q = numbers({1, 1, 1, 8}, 1), k = numbers({1, 1, 1, 8}, 2);
  auto at = [&](const Tensor& x, int64_t row, int64_t column) {
    return rope.forward(x, 1 + row * kColumns + column);
  };
  auto score = [&](int64_t qr, int64_t qc, int64_t kr, int64_t kc) {
    return sum(at(q, qr, qc) * at(k, kr, kc)).item();
  };
  double near = score(0, 0, 1, 2);  // a row below, two columns to the right
  for (int64_t r = 0; r + 1 < kRows; ++r)
    for (int64_t c = 0; c + 2 < kColumns; ++c)
      REQUIRE_THAT(score(r, c, r + 1, c + 2), WithinAbs(near, 1e-12));
  REQUIRE(std::fabs(score(0, 0, 2, 2) - near) > 1e-3);  // another row
  REQUIRE(std::fabs(score(0, 0, 1, 3) - near) > 1e-3);  // another column
  REQUIRE(std::fabs(score(1, 0, 0, 2) - near) > 1e-3);  // above instead of below
  // The token in front stays as it is; so does cell (0, 0), and nothing else.
  REQUIRE(difference(rope.forward(q, 0), q) == 0);
  REQUIRE(difference(at(q, 0, 0), q) == 0);
  REQUIRE(difference(at(q, 0, 1), q) > 1e-3);
  REQUIRE(difference(at(q, 1, 0), q) > 1e-3);
  // All tokens at once, and rows that start elsewhere.
  Tensor x = numbers({2, 1, 25, 8}, 3);
  Tensor y = rope.forward(x), rows = rope.forward(x.slice(2, 0, 3), {9, 2});
  REQUIRE(difference(y.slice(2, 14, 15), rope.forward(x.slice(2, 14, 15), 14)) == 0);
  REQUIRE(difference(rows[0], rope.forward(x.slice(2, 0, 3), 9)[0]) == 0);
}

TEST_CASE("RoPE on a grid: the first pairs turn by the row, the others by the column") {
  nn::Rope rope(8, {.base = 100, .grid = {3, 5}});
  Tensor x = Tensor::from(std::vector<double>{1, 1, 1, 1, 0, 0, 0, 0}, {1, 1, 1, 8});
  std::vector<double> y = rope.forward(x, 2 * 5 + 4).to_vector();  // row 2, column 4
  for (auto [channel, angle] :
       std::vector<std::pair<size_t, double>>{{4, 2.0}, {5, 0.2}, {6, 4.0}, {7, 0.4}})
    REQUIRE_THAT(y[channel], WithinAbs(std::sin(angle), 1e-15));
}

TEST_CASE("RoPE: rows at different places; sequence = step by step") {
  nn::Rope rope(4);
  Tensor x = numbers({2, 2, 3, 4}, 3);
  Tensor y = rope.forward(x, {0, 9});
  REQUIRE(difference(y[0], rope.forward(x.slice(0, 0, 1))[0]) == 0);
  REQUIRE(difference(y[1], rope.forward(x.slice(0, 1, 2), 9)[0]) == 0);
  REQUIRE(difference(rope.forward(x.slice(2, 2, 3), 2), rope.forward(x).slice(2, 2, 3)) == 0);
}

TEST_CASE("RoPE: converted weights give the same scores in the other layout") {
  Tensor x = numbers({1, 5, 6}, 4), wq = numbers({8, 6}, 5), wk = numbers({8, 6}, 6);
  auto scores = [&](const Tensor& q_rows, const Tensor& k_rows, RopeLayout layout) {
    nn::Rope rope(4, {.layout = layout});
    auto heads = [&](const Tensor& w) {
      return rope.forward(linear(x, w).reshape({1, 5, 2, 4}).permute({0, 2, 1, 3}), 0);
    };
    return matmul(heads(q_rows), heads(k_rows).transpose(2, 3));
  };
  Tensor a = scores(wq, wk, RopeLayout::interleaved);
  auto to_half = [](const Tensor& w) {
    return nn::convert_rope_rows(w, 2, RopeLayout::interleaved, RopeLayout::half_split);
  };
  REQUIRE(difference(scores(to_half(wq), to_half(wk), RopeLayout::half_split), a) < 1e-13);
  REQUIRE(difference(scores(wq, wk, RopeLayout::half_split), a) > 1e-3);
  Tensor back =
      nn::convert_rope_rows(to_half(wq), 2, RopeLayout::half_split, RopeLayout::interleaved);
  REQUIRE(back.to_vector() == wq.to_vector());
}

TEST_CASE("RoPE: bad input") {
  REQUIRE_THROWS_SAYING(nn::Rope(5), ValueError, "even, got 5");
  REQUIRE_THROWS_SAYING(nn::Rope(4, {.base = 0}), ValueError, "base");
  REQUIRE_THROWS_SAYING(nn::Rope(4).forward(zeros({1, 1, 2, 6})), ShapeError, "[B, H, T, 4]");
  REQUIRE_THROWS_SAYING(nn::Rope(6, {.grid = {2, 2}}), ValueError, "a multiple of 4, got 6");
  REQUIRE_THROWS_SAYING(nn::Rope(4, {.grid = {2, 0}}), ValueError, "a grid of [2, 0]");
  REQUIRE_THROWS_SAYING(nn::Rope(4, {.unrotated = -1}), ValueError, "-1 unrotated");
  nn::Rope grid(4, {.grid = {2, 3}, .unrotated = 1});
  REQUIRE_THROWS_SAYING(grid.forward(zeros({1, 1, 8, 4})), ShapeError,
                        "at most 7 tokens expected, a grid of [2, 3] and 1 in front of it, got 8");
  REQUIRE_THROWS_SAYING(grid.forward(zeros({1, 1, 2, 4}), Lengths{6}), ShapeError, "got 8");
  REQUIRE_THROWS_SAYING(
      nn::convert_rope_rows(zeros({9, 2}), 2, RopeLayout::interleaved, RopeLayout::half_split),
      ShapeError, "2 heads");
}

TEST_CASE("ALiBi: both conventions") {
  std::vector<double> eight =
      nn::alibi_slopes(8, AlibiSlopes::power_of_two_interpolated, DType::f64).to_vector();
  for (size_t h = 0; h < 8; ++h)
    REQUIRE_THAT(eight[h], WithinRel(std::exp2(-1.0 - static_cast<double>(h)), 1e-15));
  REQUIRE(nn::alibi_slopes(8, AlibiSlopes::geometric, DType::f64).to_vector() == eight);
  std::vector<double> twelve =
      nn::alibi_slopes(12, AlibiSlopes::power_of_two_interpolated, DType::f64).to_vector();
  for (size_t h = 0; h < 8; ++h) REQUIRE(twelve[h] == eight[h]);
  for (size_t h = 8; h < 12; ++h)
    REQUIRE_THAT(twelve[h], WithinRel(std::exp2(-0.5 - static_cast<double>(h - 8)), 1e-15));
  std::vector<double> plain = nn::alibi_slopes(12, AlibiSlopes::geometric, DType::f64).to_vector();
  for (size_t h = 0; h < 12; ++h)
    REQUIRE_THAT(plain[h], WithinRel(std::exp2(-8.0 * static_cast<double>(h + 1) / 12), 1e-15));
  REQUIRE(nn::alibi_slopes(3).dim(0) == 3);
  REQUIRE(nn::alibi_slopes_from_name("geometric") == AlibiSlopes::geometric);
  REQUIRE_THROWS_SAYING(nn::alibi_slopes_from_name("x"), ValueError,
                        "power_of_two_interpolated, geometric");
  REQUIRE_THROWS_AS(nn::alibi_slopes(0), ValueError);
}

TEST_CASE("T5: buckets of the reference code") {
  // (relative position, bucket) from transformers' T5Attention._relative_position_bucket.
  for (auto [relative, bucket] : std::vector<std::pair<int64_t, int64_t>>{{0, 0},
                                                                          {-1, 1},
                                                                          {-7, 7},
                                                                          {-8, 8},
                                                                          {-11, 8},
                                                                          {-12, 9},
                                                                          {-16, 10},
                                                                          {-64, 14},
                                                                          {-127, 15},
                                                                          {-128, 15},
                                                                          {-1000, 15},
                                                                          {1, 17},
                                                                          {7, 23},
                                                                          {8, 24},
                                                                          {16, 26},
                                                                          {1000, 31}})
    REQUIRE(relative_bucket(relative, true, 32, 128) == bucket);
  for (auto [relative, bucket] : std::vector<std::pair<int64_t, int64_t>>{
           {0, 0}, {5, 0}, {-15, 15}, {-16, 16}, {-32, 21}, {-64, 26}, {-128, 31}, {-5000, 31}})
    REQUIRE(relative_bucket(relative, false, 32, 128) == bucket);
}

TEST_CASE("T5: the table is one parameter and enters the scores") {
  nn::RelativeBias bias(2);
  REQUIRE(bias.table.shape() == Shape{2, 32});
  Tensor map = bias.term().dense_bias(1, 3, 3, DType::f32);
  REQUIRE(map.shape() == Shape{1, 2, 3, 3});
  REQUIRE(map[0][1][2][0].item() == bias.table[1][2].item());   // two to the left
  REQUIRE(map[0][0][0][2].item() == bias.table[0][18].item());  // two to the right
  REQUIRE_THROWS_SAYING(nn::RelativeBias(2, true, 5), ValueError, "even number of buckets");
  REQUIRE_THROWS_SAYING(nn::RelativeBias(2, true, 32, 8), ValueError, "max_distance");
}
