// Dropout's random numbers at every level; values and derivatives are in opcases_dropout.cpp.
#include <cmath>

#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/backends/kernel.h>
#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("the mask is core's Philox, bit by bit, at every level") {
  const IsaLevel before = isa_level();
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512}) {
    if (!isa_available(level)) continue;
    set_isa_level(level);
    for (RandomKey key : {RandomKey{0, 0}, RandomKey{~uint64_t{0}, 5}, RandomKey{7, 0xFFFFFFF0},
                          RandomKey{1, uint64_t{1} << 40}}) {
      for (double p : {0.1, 0.5, 1e-9, 1 - 1e-9}) {
        std::vector<double> mask = dropout_mask({1031}, p, key, DType::f64).to_vector();
        int64_t wrong = 0;
        for (size_t i = 0; i < mask.size(); ++i) {
          bool dropped =
              static_cast<double>(to_uniform(philox(key.seed, key.offset + i / 4)[i % 4])) < p;
          wrong += mask[i] != (dropped ? 0 : 1 / (1 - p));
        }
        CHECK(wrong == 0);
      }
    }
  }
  set_isa_level(before);
}

TEST_CASE("dropout keeps the mean and the share that it should") {
  Tensor mask = dropout_mask({1000, 1000}, 0.3, {42, 0});
  CHECK(mean(mask).item() == test::Approx(1).epsilon(3e-3));
  CHECK(mean(equal(mask, 0).to(DType::f64)).item() == test::Approx(0.3).epsilon(5e-3));
}

TEST_CASE("dropout without a key takes new numbers each time, and none for p = 0") {
  manual_seed(3);
  Tensor x = ones({64});
  auto first = dropout(x, 0.5).to_vector(), second = dropout(x, 0.5).to_vector();
  CHECK(first != second);
  manual_seed(3);
  CHECK(dropout(x, 0.5).to_vector() == first);
  uint64_t offset = default_generator().offset();
  CHECK(dropout(x, 0).to_vector() == x.to_vector());
  CHECK(default_generator().offset() == offset);
  CHECK(dropout(x, 1).to_vector() == std::vector<double>(64, 0.0));
}

TEST_CASE("dropout refuses probabilities that are none, and operands that do not fit") {
  Tensor x = ones({2, 3});
  for (double p : {-0.1, 1.5, static_cast<double>(NAN)}) {
    REQUIRE_THROWS_SAYING(dropout(x, p), ValueError, "expected 0 <= p <= 1");
    REQUIRE_THROWS_SAYING(dropout_mask({3}, p, {}), ValueError, "dropout_mask: the probability");
    REQUIRE_THROWS_SAYING(relu_dropout(x, p, {}), ValueError, "relu_dropout");
  }
  REQUIRE_THROWS_SAYING(dropout(arange(3), 0.5), DTypeError, "f32, f64 or bf16 expected, got i64");
  REQUIRE_THROWS_SAYING(dropout_add(x, ones({3}), 0.5, {}), ShapeError, "residual [3]");
  REQUIRE_THROWS_SAYING(dropout_add(x, ones({2, 3}, DType::f64), 0.5, {}), DTypeError,
                        "residual is f64");
}
