// Schedules against their closed forms.
#include <heed/train/schedule.h>

#include <cmath>
#include <numbers>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>

namespace heed::test {
using namespace train;

TEST_CASE("inverse square root: linear to the peak, then as in the paper", "[schedule]") {
  Schedule s = inverse_sqrt_schedule(0.005, 1000);
  // Vaswani et al.: factor d^-0.5 min(t^-0.5, t warmup^-1.5), with the factor that gives this peak.
  for (int64_t t : {1, 10, 999, 1000, 1001, 4000, 100000}) {
    double x = static_cast<double>(t);
    double paper =
        0.005 * std::sqrt(1000.0) * std::min(1 / std::sqrt(x), x * std::pow(1000.0, -1.5));
    REQUIRE_THAT(s(t), WithinRel(paper, 1e-12));
  }
  REQUIRE(s(1000) == 0.005);
}

// The table in schedule.h.
TEST_CASE("schedules update by update", "[schedule]") {
  struct Row {
    const char* spec;
    std::vector<double> rates;
  };
  for (const Row& row : std::vector<Row>{
           {"constant:warmup=3", {1.0 / 3, 2.0 / 3, 1, 1, 1, 1}},
           {"inverse_sqrt:warmup=2", {0.5, 1, 0.816497, 0.707107, 0.632456, 0.577350}},
           {"inverse_sqrt:warmup=0", {1, 0.707107, 0.577350, 0.5, 0.447214, 0.408248}},
           {"cosine:steps=5", {1, 0.904508, 0.654508, 0.345492, 0.0954915, 0}},
           {"cosine:steps=5,warmup=1", {1, 0.904508, 0.654508, 0.345492, 0.0954915, 0}},
           {"cosine:steps=5,warmup=2,min=0.1", {0.5, 1, 0.868198, 0.55, 0.231802, 0.1}},
           {"cosine:steps=3,warmup=3", {1.0 / 3, 2.0 / 3, 1, 0, 0, 0}},
           {"cosine:steps=1", {1, 0, 0, 0, 0, 0}},
           {"step:every=2", {1, 1, 0.1, 0.1, 0.01, 0.01}},
           {"step:every=2,warmup=3", {1.0 / 3, 2.0 / 3, 1, 1, 0.1, 0.1}}}) {
    CAPTURE(row.spec);
    Schedule s = parse_schedule(row.spec, 1);
    for (size_t i = 0; i < row.rates.size(); ++i)
      CHECK_THAT(s(static_cast<int64_t>(i) + 1), WithinAbs(row.rates[i], 1e-6));
  }
}

TEST_CASE("cosine: warm-up, half a wave, then the minimum", "[schedule]") {
  Schedule s = cosine_schedule(1.0, 109, 10, 0.1);
  REQUIRE_THAT(s(5), WithinRel(0.5, 1e-12));
  REQUIRE_THAT(s(10), WithinRel(1.0, 1e-12));
  REQUIRE_THAT(s(60), WithinRel(0.55, 1e-12));
  REQUIRE_THAT(s(35), WithinRel(0.1 + 0.9 * 0.5 * (1 + std::cos(std::numbers::pi / 4)), 1e-12));
  REQUIRE(s(109) > 0.1);
  REQUIRE(s(110) == 0.1);
  REQUIRE(s(1000000) == 0.1);
}

TEST_CASE("step decay and constant", "[schedule]") {
  Schedule s = step_schedule(0.8, 3, 0.5);
  const double expected[] = {0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2};
  for (int64_t t = 1; t <= 7; ++t) REQUIRE_THAT(s(t), WithinRel(expected[t - 1], 1e-12));
  REQUIRE(constant_schedule(0.3)(12345) == 0.3);
  REQUIRE_THAT(constant_schedule(0.3, 4)(1), WithinRel(0.075, 1e-12));
}

TEST_CASE("schedules are parsed from a spec and printed as one", "[schedule]") {
  for (std::string spec : {"constant:lr=0.5,warmup=0", "inverse_sqrt:lr=0.005,warmup=1000",
                           "cosine:lr=0.001,steps=500,warmup=20,min=1e-05",
                           "step:lr=1,every=30,factor=0.1,warmup=5"}) {
    REQUIRE(to_string(parse_schedule(spec, 9)) == spec);
  }
  REQUIRE(parse_schedule("inverse_sqrt:warmup=1000", 0.005)(1000) == 0.005);
  REQUIRE(parse_schedule("inverse_sqrt", 0.1).warmup == 4000);
  REQUIRE(parse_schedule("constant", 0.1)(7) == 0.1);
  Schedule defaults{.lr = 2, .warmup = 3, .steps = 9, .every = 4};
  REQUIRE(to_string(parse_schedule("cosine:min=1", defaults)) ==
          "cosine:lr=2,steps=9,warmup=3,min=1");
  REQUIRE(to_string(parse_schedule("step:factor=0.5,warmup=0", defaults)) ==
          "step:lr=2,every=4,factor=0.5,warmup=0");
  REQUIRE(schedule_names() == "constant, inverse_sqrt, cosine, step");
}

TEST_CASE("bad schedules are refused", "[schedule]") {
  REQUIRE_THROWS_SAYING(parse_schedule("linear", 1), ValueError,
                        "constant, inverse_sqrt, cosine, step");
  REQUIRE_THROWS_SAYING(parse_schedule("", 1), ValueError, "no schedule named ''");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:steps=3", 1), ValueError,
                        "constant has lr, warmup");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:warmup=x", 1), ValueError,
                        "warmup=x is no number");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:warmup=", 1), ValueError, "is no number");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:warmup", 1), ValueError, "is no number");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:warmup=1.5", 1), ValueError, "is no number");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:warmup=-1", 1), ValueError, "warmup >= 0");
  REQUIRE_THROWS_SAYING(parse_schedule("cosine", 1), ValueError, "steps >= warmup and >= 1");
  REQUIRE_THROWS_SAYING(parse_schedule("cosine:steps=2,warmup=3", 1), ValueError,
                        "steps >= warmup");
  REQUIRE_THROWS_SAYING(parse_schedule("step", 1), ValueError, "every >= 1");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:lr=nan", 1), ValueError, "lr >= 0");
  REQUIRE_THROWS_SAYING(constant_schedule(0.1)(0), ValueError, "step >= 1");
}

}  // namespace heed::test
