#include <heed/core/random.h>

#include <cmath>
#include <fstream>

#include <nlohmann/json.hpp>

#include <heed/tests/support/catch.h>

using namespace heed;
using heed::test::Approx;

TEST_CASE("philox gives the published vectors") {
  std::ifstream file(HEED_SOURCE_DIR "/tests/golden/philox.json");
  auto cases = nlohmann::json::parse(file);
  auto word = [](const nlohmann::json& hex) {
    return static_cast<uint32_t>(std::stoul(hex.get<std::string>(), nullptr, 16));
  };
  const auto& list = cases.is_array() ? cases : cases.at("cases");
  REQUIRE(list.size() >= 3);
  for (const auto& c : list) {
    std::array<uint32_t, 2> key{word(c["key"][0]), word(c["key"][1])};
    std::array<uint32_t, 4> counter{}, expected{};
    for (size_t i = 0; i < 4; ++i) {
      counter[i] = word(c["counter"][i]);
      expected[i] = word(c["out"][i]);
    }
    REQUIRE(philox(key, counter) == expected);
  }
}

TEST_CASE("element i is lane i % 4 of block offset + i / 4") {
  Array u = random_uniform({10}, 0, 1, {42, 7});
  for (int64_t i = 0; i < 10; ++i)
    REQUIRE(u.data<float>()[i] ==
            to_uniform(philox(42, static_cast<uint64_t>(7 + i / 4))[static_cast<size_t>(i % 4)]));
}

TEST_CASE("moments and ranges") {
  constexpr int64_t n = 1 << 18;
  Array u = random_uniform({n}, -2, 3, {1, 0}, DType::f64),
        z = random_normal({n}, 1, 2, {2, 0}, DType::f64);
  double mean_u = 0, mean_z = 0, var_z = 0;
  for (int64_t i = 0; i < n; ++i) {
    double x = u.data<double>()[i];
    REQUIRE((x >= -2 && x < 3));
    mean_u += x / n;
    mean_z += z.data<double>()[i] / n;
  }
  for (int64_t i = 0; i < n; ++i) var_z += std::pow(z.data<double>()[i] - mean_z, 2) / n;
  REQUIRE(mean_u == Approx(0.5).margin(0.02));
  REQUIRE(mean_z == Approx(1).margin(0.02));
  REQUIRE(var_z == Approx(4).epsilon(0.02));
}

TEST_CASE("a generator's state is its seed and offset") {
  Generator a(5);
  a.uniform();
  a.take(9);
  REQUIRE(a.offset() == 1 + 3);
  Generator b(0);
  b.set_state(a.seed(), a.offset());
  REQUIRE(a.integer(1000) == b.integer(1000));
  REQUIRE(a.normal() == b.normal());
  std::vector<int> seen(7);
  for (int i = 0; i < 700; ++i) ++seen[a.integer(7)];
  for (int count : seen) REQUIRE(count > 50);
  REQUIRE_THROWS_SAYING(a.integer(0), ValueError, "bound is 0");
  REQUIRE_THROWS_SAYING(random_normal({2}, 0, 1, {}, DType::i64), DTypeError, "f32, f64 or bf16");
}
