// Convolutions of a small ResNet, f32: forward, and the gradients by input and by weight, as a
// share of the FMA peak. `op/conv_.._train` is all three, names as in peers/ops.py.
#include <benchmark/benchmark.h>

#include <heed/heed.h>

#include "fma_peak.h"

namespace {
using namespace heed;

struct Setting {
  int64_t batch, in, size, out, kernel = 3, stride = 1;
};
enum class Part { forward, input, weight, train };

void convolution(benchmark::State& state, const Setting& s, Part part) {
  manual_seed(1);
  Tensor x = randn({s.batch, s.in, s.size, s.size}), w = randn({s.out, s.in, s.kernel, s.kernel});
  ConvOptions options{.stride = {s.stride}, .padding = {s.kernel / 2}};
  Tensor cotangent = randn(conv2d(x, w, Tensor(), options).shape());
  x.set_requires_grad(part == Part::input || part == Part::train);
  w.set_requires_grad(part == Part::weight || part == Part::train);
  Tensor y = conv2d(x, w, Tensor(), options);
  std::vector<Tensor> leaves;
  for (const Tensor& t : {x, w})
    if (t.requires_grad()) leaves.push_back(t);
  for (auto _ : state) {
    if (part == Part::forward || part == Part::train) y = conv2d(x, w, Tensor(), options);
    if (part == Part::forward) benchmark::DoNotOptimize(y.array().raw());
    else
      benchmark::DoNotOptimize(
          grad({y}, leaves, {cotangent}, {.retain_graph = true})[0].array().raw());
  }
  static const double peak = fma_peak(num_threads());
  const double flops = 2.0 * static_cast<double>(cotangent.numel() * s.in * s.kernel * s.kernel) *
                       (part == Part::train ? 3 : 1);
  state.counters["% of FMA peak"] =
      benchmark::Counter(100 * flops / peak, benchmark::Counter::kIsIterationInvariantRate);
}

const bool registered = [] {
  auto add = [](const std::string& name, Setting s) {
    const std::pair<const char*, Part> parts[] = {{"", Part::forward},
                                                  {"_input", Part::input},
                                                  {"_weight", Part::weight},
                                                  {"_train", Part::train}};
    for (auto [suffix, part] : parts)
      benchmark::RegisterBenchmark(("op/conv_" + name + suffix).c_str(), convolution, s, part)
          ->UseRealTime();
  };
  add("128x16x28", {128, 16, 28, 16});
  add("128x32x14", {128, 32, 14, 32});
  add("128x64x7", {128, 64, 7, 64});
  add("128x16x28_stride2", {128, 16, 28, 32, 3, 2});
  add("4x64x64", {4, 64, 64, 64});
  add("8x256x14", {8, 256, 14, 256});
  add("32x64x28_one_tap", {32, 64, 28, 64, 1});
  return true;
}();

}  // namespace
