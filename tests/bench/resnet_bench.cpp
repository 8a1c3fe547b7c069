// ResNet-20 in the form for CIFAR, width 16; tests/bench/peers/resnet_step.py is its twin.
//   step/resnet      one training step
//   memory/resnet    the memory that it takes
#include <heed/models/resnet.h>

#include "image_training.h"

namespace {
using namespace heed;

models::ResNetConfig resnet20() {
  models::ResNetConfig c = models::resnet_preset("resnet20");
  c.channels = 1, c.classes = kClasses;
  return c;
}

void step(benchmark::State& state) { training_speed<models::ResNet>(state, resnet20()); }
void memory(benchmark::State& state) { training_memory<models::ResNet>(state, resnet20()); }
BENCHMARK(step)->Name("step/resnet")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK(memory)->Name("memory/resnet")->Iterations(1);
}  // namespace
