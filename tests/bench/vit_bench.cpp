// One training step of a vision transformer; tests/bench/peers/vit_step.py is its twin.
//   step/vit         width 128, 6 layers, dropout 0.1, 128 pictures of 28 x 28 in patches of 4
//   step/vit_small   width 64, 4 layers, without dropout
#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/models/vit.h>
#include <heed/train/optimizer.h>

namespace {
using namespace heed;

constexpr int64_t kBatch = 128, kSide = 28, kClasses = 10;

void vit_step(benchmark::State& state, int64_t width, int64_t layers, double dropout) {
  manual_seed(1);
  models::ViTConfig config;
  config.image_height = config.image_width = kSide;
  config.channels = 1, config.patch = 4, config.classes = kClasses;
  config.stack.layer.width = width;
  config.stack.layer.dropout = dropout;  // of tokens, feed-forward, residuals, attention weights
  config.stack.layer.attention.heads = 4;
  config.stack.layers = layers;
  models::ViT model(config);
  train::AdamW optimizer(model.named_parameters());
  Tensor images = randn({kBatch, 1, kSide, kSide});
  std::vector<int64_t> classes(kBatch);
  for (size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<int64_t>(i) % kClasses;
  Tensor labels = Tensor::from(classes, {kBatch});
  auto step = [&] {
    Tensor loss = cross_entropy(model.forward(images), labels);
    loss.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(1e-3);
    optimizer.zero_grad();
    benchmark::DoNotOptimize(loss.item());
  };
  step();
  for (auto _ : state) step();
  state.counters["images/s"] =
      benchmark::Counter(kBatch, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel("parameters " + std::to_string(model.parameter_count()));
}
BENCHMARK_CAPTURE(vit_step, vit, 128, 6, 0.1)
    ->Name("step/vit")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(vit_step, vit_small, 64, 4, 0.0)
    ->Name("step/vit_small")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
}  // namespace
