// One training step of ResNet-20 in the form for CIFAR: width 16, 128 pictures of 1 x 28 x 28;
// tests/bench/peers/resnet_step.py is its twin.
#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/models/resnet.h>
#include <heed/train/optimizer.h>

namespace {
using namespace heed;

constexpr int64_t kBatch = 128, kSide = 28, kClasses = 10;

void resnet_step(benchmark::State& state) {
  manual_seed(1);
  models::ResNetConfig config = models::resnet_preset("resnet20");
  config.channels = 1, config.classes = kClasses;
  models::ResNet model(config);
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
BENCHMARK(resnet_step)->Name("step/resnet")->Unit(benchmark::kMillisecond)->UseRealTime();
}  // namespace
