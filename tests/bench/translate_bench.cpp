// One training step of the translation Transformer; tests/bench/peers/translate_step.py is its
// twin.
//   step/translate        target tokens a second, 160 pairs of 25
//   step/translate_time   milliseconds
#include <benchmark/benchmark.h>

#include <heed/autograd/ops/losses.h>
#include <heed/models/transformer.h>
#include <heed/train/optimizer.h>

namespace {
using namespace heed;

constexpr int64_t kVocab = 9000, kPairs = 160, kLength = 25;

Tensor random_ids(Generator& random) {
  std::vector<int64_t> ids(kPairs * kLength);
  for (int64_t& id : ids)
    id = 1 + static_cast<int64_t>(random.integer(kVocab - 1));  // 0 is padding
  return Tensor::from(ids, {kPairs, kLength});
}

void translate_step(benchmark::State& state) {
  manual_seed(1);
  models::TransformerConfig config = models::transformer_preset("tiny");
  config.vocab = kVocab;
  config.layer.dropout =
      0.1;  // embeddings, feed-forward, residuals and, by default, attention weights
  models::Transformer model(config);
  train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98, .eps = 1e-9});
  Generator random(1);
  models::TranslationBatch batch;
  batch.source = random_ids(random);
  batch.source_lengths = std::vector<int64_t>(kPairs, kLength);
  batch.target_in = random_ids(random);
  batch.target_out = random_ids(random);
  auto step = [&] {
    Tensor loss = model.loss(batch, 0.1);
    loss.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(1e-3);
    optimizer.zero_grad();
    benchmark::DoNotOptimize(loss.item());
  };
  step();
  for (auto _ : state) step();
  state.counters["tokens/s"] =
      benchmark::Counter(kPairs * kLength, benchmark::Counter::kIsIterationInvariantRate);
  state.SetLabel("parameters " + std::to_string(model.parameter_count()));
}
BENCHMARK(translate_step)->Name("step/translate")->Unit(benchmark::kMillisecond)->UseRealTime();
}  // namespace
