// Pooling and interpolation as PyTorch computes them (tests/golden/README.md, ops_pool and
// ops_interpolate).
#include <heed/autograd/ops/interpolate.h>
#include <heed/autograd/ops/pool.h>
#include <heed/tests/autograd/golden.h>

namespace heed::test {

using In = const std::vector<Tensor>&;

TEST_CASE("pooling equals PyTorch") {
  Golden golden("ops_pool");
  using Pool = Tensor (*)(const Tensor&, const Shape&, const PoolOptions&);
  using Adaptive = Tensor (*)(const Tensor&, const Shape&);
  struct Kind {
    std::string name;
    Pool pool[3];
    Adaptive adaptive[3];
  };
  const Kind kinds[] = {{"max",
                         {max_pool1d, max_pool2d, max_pool3d},
                         {adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d}},
                        {"avg",
                         {avg_pool1d, avg_pool2d, avg_pool3d},
                         {adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d}}};
  for (int axes = 1; axes <= 3; ++axes)
    for (const Kind& kind : kinds) {
      const std::string name = str(kind.name, "_pool", axes, "d");
      auto check = [&](const char* label, const Shape& kernel, const PoolOptions& o) {
        golden.check(name + label, {"x"},
                     [&](In in) { return kind.pool[axes - 1](in[0], kernel, o); });
      };
      check("_plain", {2}, {});
      check("_overlap", {3}, {.stride = {2}, .padding = {1}});
      check("_ceil", {3}, {.stride = {2}, .padding = {1}, .ceil_mode = true});
      if (kind.name == "max")
        check("_dilation", {2}, {.stride = {1}, .padding = {1}, .dilation = {2}});
      else
        check("_without_pad", {3},
              {.stride = {2}, .padding = {1}, .ceil_mode = true, .count_include_pad = false});
      for (int64_t size : {1, 3})
        golden.check(str("adaptive_", name, "_", size), {"x"},
                     [&](In in) { return kind.adaptive[axes - 1](in[0], {size}); });
    }
}

TEST_CASE("interpolation equals PyTorch") {
  Golden golden("ops_interpolate");
  using enum InterpolateMode;
  const std::pair<const char*, InterpolateOptions> settings[] = {
      {"nearest_size", {.size = {5}}},
      {"nearest_factor", {.scale_factor = {1.7}}},
      {"linear_size", {.size = {5}, .mode = linear}},
      {"linear_factor", {.scale_factor = {1.7}, .mode = linear}},
      {"linear_smaller", {.scale_factor = {0.6}, .mode = linear}},
      {"linear_corners", {.size = {5}, .mode = linear, .align_corners = true}},
  };
  for (int axes = 1; axes <= 3; ++axes)
    for (const auto& [label, o] : settings)
      golden.check(str(label, "_", axes, "d"), {"x"},
                   [&, options = o](In in) { return interpolate(in[0], options); });
  const std::pair<int64_t, int64_t> sizes[] = {{7, 41},  {49, 100}, {100, 49}, {41, 82},
                                               {64, 63}, {10, 3},   {3, 10}};
  for (auto [n, m] : sizes)
    golden.check(str("places_", n, "_", m), {"x"},
                 [m = m](In in) { return interpolate(in[0], {.size = {m}}); });
}

}  // namespace heed::test
