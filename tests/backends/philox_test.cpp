// The vectorized generator as kernels use it: from any element on, for any count.
#define HEED_ISA_NAMESPACE baseline
#include <heed/backends/cpu/philox.h>
#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("Philox numbers start at any element") {
  const RandomKey key{0xDEADBEEF12345678, 0xFFFFFFFFFFFFFFF0};
  kernels::baseline::PhiloxStream stream(key);
  int64_t wrong = 0, checked = 0;
  for (uint64_t first : {0u, 1u, 2u, 3u, 4u, 63u, 1000u})
    for (int64_t n : {0, 1, 2, 3, 5, 31, 64, 97}) {
      uint32_t numbers[100];
      numbers[n] = 17;
      stream.numbers(first, n, numbers);
      for (int64_t i = 0; i < n; ++i, ++checked) {
        uint64_t element = first + static_cast<uint64_t>(i);
        wrong += numbers[i] != philox(key.seed, key.offset + element / 4)[element % 4];
      }
      wrong += numbers[n] != 17;
    }
  CHECK(wrong == 0);
  CHECK(checked > 1000);
}

TEST_CASE("keep scales: 0 or 1 / (1 - p), from any element on") {
  const RandomKey key{5, 9};
  float scales[3000], shifted[2000];
  kernels::baseline::keep_scales(scales, 3000, key, 0, 0.25);
  kernels::baseline::keep_scales(shifted, 2000, key, 777, 0.25);
  for (int i = 0; i < 2000; ++i) CHECK(shifted[i] == scales[i + 777]);
  int dropped = 0;
  for (float s : scales) {
    CHECK((s == 0 || s == static_cast<float>(1 / 0.75)));
    dropped += s == 0;
  }
  CHECK((dropped > 650 && dropped < 850));
}
