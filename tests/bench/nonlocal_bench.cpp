// The non-local block, forward plus backward: batch 4, 64 channels, 32 inside, one head, no
// sub-sampling, maps of 32 x 32 and 64 x 64, f32. Names as in peers/nonlocal.py, where
//   nonlocal/naive_..      is the usual module, which keeps the map of all pairs
//   nonlocal/sdpa_..       one on scaled_dot_product_attention; here the same block once more
//   nonlocal/efficient_..  efficient attention (Shen et al. 2021), which has no batch norm
#include <benchmark/benchmark.h>

#include <heed/autograd/backward.h>
#include <heed/nn/init.h>
#include <heed/nn/non_local.h>

namespace {
using namespace heed;

constexpr int64_t kBatch = 4, kChannels = 64;

void non_local(benchmark::State& state, const char* attention, bool batch_norm, int64_t side) {
  manual_seed(1);
  nn::NonLocalBlock block(kChannels, {.attention = attention, .batch_norm = batch_norm});
  if (block.norm) nn::init::ones_(block.norm->weight);  // not the identity, as it starts
  else nn::init::normal_(block.w.weight, 0, 0.1);
  Tensor x = randn({kBatch, kChannels, side, side}), cotangent = randn(x.shape());
  std::vector<Tensor> leaves = block.parameters();
  leaves.push_back(x.set_requires_grad(true));
  for (auto _ : state)
    benchmark::DoNotOptimize(grad({block.forward(x)}, leaves, {cotangent}).data());
}

#define HEED_NON_LOCAL(name, attention, batch_norm)                  \
  BENCHMARK_CAPTURE(non_local, name##_32, attention, batch_norm, 32) \
      ->Name("nonlocal/" #name "_32_train")                          \
      ->UseRealTime();                                               \
  BENCHMARK_CAPTURE(non_local, name##_64, attention, batch_norm, 64) \
      ->Name("nonlocal/" #name "_64_train")                          \
      ->UseRealTime()

HEED_NON_LOCAL(naive, "embedded_gaussian", true);
HEED_NON_LOCAL(sdpa, "embedded_gaussian", true);
HEED_NON_LOCAL(efficient, "efficient", false);
}  // namespace
