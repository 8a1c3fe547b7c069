// A vision transformer in patches of 4; tests/bench/peers/vit_step.py is its twin.
//   step/vit         one training step: width 128, 6 layers, dropout 0.1
//   step/vit_small   width 64, 4 layers, without dropout
//   memory/vit       the memory that step/vit takes
#include <heed/models/vit.h>

#include "image_training.h"

namespace {
using namespace heed;

struct Size {
  int64_t width, layers;
  double dropout;
};
constexpr Size kVit{128, 6, 0.1}, kSmall{64, 4, 0};

models::ViTConfig vit(const Size& size) {
  models::ViTConfig c;
  c.image_height = c.image_width = kSide;
  c.channels = 1, c.patch = 4, c.classes = kClasses;
  c.stack.layer.width = size.width;
  c.stack.layer.dropout = size.dropout;  // of tokens, feed-forward, residuals, attention weights
  c.stack.layer.attention.heads = 4;
  c.stack.layers = size.layers;
  return c;
}

void step(benchmark::State& state, const Size& size) {
  training_speed<models::ViT>(state, vit(size));
}
void memory(benchmark::State& state, const Size& size) {
  training_memory<models::ViT>(state, vit(size));
}
BENCHMARK_CAPTURE(step, vit, kVit)->Name("step/vit")->Unit(benchmark::kMillisecond)->UseRealTime();
BENCHMARK_CAPTURE(step, vit_small, kSmall)
    ->Name("step/vit_small")
    ->Unit(benchmark::kMillisecond)
    ->UseRealTime();
BENCHMARK_CAPTURE(memory, vit, kVit)->Name("memory/vit")->Iterations(1);
}  // namespace
