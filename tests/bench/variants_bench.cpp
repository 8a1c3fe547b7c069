// Attention variants, forward plus backward: batch 1, 8 heads of 64 channels, 2,048 tokens unless
// said, f32.
// Operands are views of [B, T, H, D], as projections give them. Names as in peers/variants.py.
#include <benchmark/benchmark.h>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/catalog.h>

namespace heed {
namespace {

constexpr int64_t kHeads = 8, kTokens = 2048, kChannels = 64;

Tensor heads(int64_t tokens) {
  return randn({1, tokens, kHeads, kChannels}).transpose(1, 2).detach();
}

void variant(benchmark::State& state, const char* spec, bool causal, int64_t tokens) {
  manual_seed(1);
  auto attention = nn::make_attention(spec, {.heads = kHeads,
                                             .kv_heads = kHeads,
                                             .head_dim = kChannels,
                                             .value_dim = kChannels,
                                             .max_length = tokens,
                                             .causal = causal});
  Tensor q = heads(tokens), k = heads(tokens), v = heads(tokens), cotangent = heads(tokens);
  std::vector<Tensor> leaves = attention->parameters();
  for (Tensor* leaf : {&q, &k, &v}) leaves.push_back(leaf->set_requires_grad(true));
  for (auto _ : state) {
    Tensor out = attention->forward(q, k, v, {});
    benchmark::DoNotOptimize(grad({out}, leaves, {cotangent}).data());
  }
}

#define HEED_VARIANT(name, ...) \
  BENCHMARK_CAPTURE(variant, name, __VA_ARGS__)->Name("variant/" #name "_train")->UseRealTime()

HEED_VARIANT(dense, "dense", false, kTokens);
HEED_VARIANT(performer_m256, "performer:features=256", false, kTokens);
HEED_VARIANT(performer_m256_causal_t512, "performer:features=256", true, 512);
HEED_VARIANT(nystrom_m64, "nystrom:landmarks=64", false, kTokens);
HEED_VARIANT(nystrom_m256, "nystrom:landmarks=256", false, kTokens);
HEED_VARIANT(linformer_k256, "linformer:k=256", false, kTokens);
HEED_VARIANT(efficient, "efficient", false, kTokens);
HEED_VARIANT(window_w128, "window:left=128,right=128", false, kTokens);
HEED_VARIANT(window_w128_causal, "window:left=128", true, kTokens);
HEED_VARIANT(topk_k32, "topk:k=32", false, kTokens);
HEED_VARIANT(embedded_gaussian, "embedded_gaussian", false, kTokens);
HEED_VARIANT(dot_product, "dot_product", false, kTokens);
HEED_VARIANT(concatenation, "concatenation", false, kTokens);

}  // namespace
}  // namespace heed
