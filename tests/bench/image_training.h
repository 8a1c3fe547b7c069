// One training step of a classifier of 128 random pictures of 1 x 28 x 28, its time and its memory.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/train/optimizer.h>

#include "peak_memory.h"

namespace heed {

constexpr int64_t kBatch = 128, kSide = 28, kClasses = 10;

template <class Model>
struct ImageTraining {
  Model model;
  train::AdamW optimizer;
  Tensor images = randn({kBatch, 1, kSide, kSide}), labels;

  template <class Config>
  explicit ImageTraining(const Config& config)
      : model(config), optimizer(model.named_parameters()) {
    std::vector<int64_t> classes(kBatch);
    for (size_t i = 0; i < classes.size(); ++i) classes[i] = static_cast<int64_t>(i) % kClasses;
    labels = Tensor::from(classes, {kBatch});
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

template <class Model, class Config>
void training_speed(benchmark::State& state, const Config& config) {
  manual_seed(1);
  ImageTraining<Model> training(config);
  training.step();
  for (auto _ : state) training.step();
  state.counters["images/s"] =
      benchmark::Counter(kBatch, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel("parameters " + std::to_string(training.model.parameter_count()));
}

template <class Model, class Config>
void training_memory(benchmark::State& state, const Config& config) {
  manual_seed(1);
  measure_peak(state, [&] {
    auto training = std::make_shared<ImageTraining<Model>>(config);
    return [training] { training->step(); };
  });
}

}  // namespace heed
