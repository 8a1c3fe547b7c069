// One training step of a vision transformer; tests/bench/peers/vit_step.py is its twin.
//   step/vit         width 128, 6 layers, dropout 0.1, 128 pictures of 28 x 28 in patches of 4
//   step/vit_small   width 64, 4 layers, without dropout
//   memory/vit       the memory that step/vit takes
#include <memory>

#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/models/vit.h>
#include <heed/train/optimizer.h>

#include "peak_memory.h"

namespace {
using namespace heed;

constexpr int64_t kBatch = 128, kSide = 28, kClasses = 10;

struct Size {
  int64_t width, layers;
  double dropout;
};
constexpr Size kVit{128, 6, 0.1}, kSmall{64, 4, 0};

struct Training {
  models::ViT model;
  train::AdamW optimizer;
  Tensor images = randn({kBatch, 1, kSide, kSide}), labels;

  explicit Training(const Size& size) : model(config(size)), optimizer(model.named_parameters()) {
    std::vector<int64_t> classes(kBatch);
    for (size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<int64_t>(i) % kClasses;
    labels = Tensor::from(classes, {kBatch});
  }

  static models::ViTConfig config(const Size& size) {
    manual_seed(1);
    models::ViTConfig c;
    c.image_height = c.image_width = kSide;
    c.channels = 1, c.patch = 4, c.classes = kClasses;
    c.stack.layer.width = size.width;
    c.stack.layer.dropout = size.dropout;  // of tokens, feed-forward, residuals, attention weights
    c.stack.layer.attention.heads = 4;
    c.stack.layers = size.layers;
    return c;
  }

  void step() {
    Tensor loss = cross_entropy(model.forward(images), labels);
    loss.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(1e-3);
    optimizer.zero_grad();
    benchmark::DoNotOptimize(loss.item());
  }
};

void vit_step(benchmark::State& state, const Size& size) {
  Training training(size);
  training.step();
  for (auto _ : state) training.step();
  state.counters["images/s"] =
      benchmark::Counter(kBatch, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel("parameters " + std::to_string(training.model.parameter_count()));
}
BENCHMARK_CAPTURE(vit_step, vit, kVit)
    ->Name("step/vit")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(vit_step, vit_small, kSmall)
    ->Name("step/vit_small")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();

void vit_memory(benchmark::State& state, const Size& size) {
  measure_peak(state, [&] {
    auto training = std::make_shared<Training>(size);
    return [training] { training->step(); };
  });
}
BENCHMARK_CAPTURE(vit_memory, vit, kVit)->Name("memory/vit")->Iterations(1);
}  // namespace
