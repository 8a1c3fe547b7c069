// One training step of ResNet-20 in the form for CIFAR: width 16, 128 pictures of 1 x 28 x 28;
// tests/bench/peers/resnet_step.py is its twin. memory/resnet: the memory that it takes.
#include <memory>

#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/models/resnet.h>
#include <heed/train/optimizer.h>

#include "peak_memory.h"

namespace {
using namespace heed;

constexpr int64_t kBatch = 128, kSide = 28, kClasses = 10;

struct Training {
  models::ResNet model;
  train::AdamW optimizer;
  Tensor images = randn({kBatch, 1, kSide, kSide}), labels;

  Training() : model(config()), optimizer(model.named_parameters()) {
    std::vector<int64_t> classes(kBatch);
    for (size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<int64_t>(i) % kClasses;
    labels = Tensor::from(classes, {kBatch});
  }

  static models::ResNetConfig config() {
    manual_seed(1);
    models::ResNetConfig c = models::resnet_preset("resnet20");
    c.channels = 1, c.classes = kClasses;
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

void resnet_step(benchmark::State& state) {
  Training training;
  training.step();
  for (auto _ : state) training.step();
  state.counters["images/s"] =
      benchmark::Counter(kBatch, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel("parameters " + std::to_string(training.model.parameter_count()));
}
BENCHMARK(resnet_step)->Name("step/resnet")->Unit(benchmark::kMillisecond)->UseRealTime();

void resnet_memory(benchmark::State& state) {
  measure_peak(state, [] {
    auto training = std::make_shared<Training>();
    return [training] { training->step(); };
  });
}
BENCHMARK(resnet_memory)->Name("memory/resnet")->Iterations(1);
}  // namespace
