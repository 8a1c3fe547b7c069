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

TEST_CASE("cosine: warm-up, half a wave, then the minimum", "[schedule]") {
  Schedule s = cosine_schedule(1.0, 110, 10, 0.1);
  REQUIRE_THAT(s(5), WithinRel(0.5, 1e-12));
  REQUIRE_THAT(s(10), WithinRel(1.0, 1e-12));
  REQUIRE_THAT(s(60), WithinRel(0.55, 1e-12));
  REQUIRE_THAT(s(35), WithinRel(0.1 + 0.9 * 0.5 * (1 + std::cos(std::numbers::pi / 4)), 1e-12));
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
  REQUIRE_THROWS_SAYING(parse_schedule("cosine", 1), ValueError, "steps > warmup");
  REQUIRE_THROWS_SAYING(parse_schedule("step", 1), ValueError, "every >= 1");
  REQUIRE_THROWS_SAYING(parse_schedule("inverse_sqrt:warmup=0", 1), ValueError, "warmup >= 1");
  REQUIRE_THROWS_SAYING(parse_schedule("constant:lr=nan", 1), ValueError, "lr >= 0");
  REQUIRE_THROWS_SAYING(constant_schedule(0.1)(0), ValueError, "step >= 1");
}

}  // namespace heed::test
