// The fused attention: forward plus backward (_train), and decoding steps. Operands are views of
// [B, T, H, D], as projections give them. Names as in peers/ops.py where PyTorch has the same
// figure.
#include <cmath>

#include <benchmark/benchmark.h>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/parallel.h>

#include "fma_peak.h"

namespace heed {
namespace {

struct Setting {
  int64_t b, h, t, s, d;
  bool causal = false, padded = false;
  double dropout = 0;
  DType dtype = DType::f32;
};

Tensor heads(int64_t b, int64_t t, int64_t h, int64_t d, DType dtype) {
  return randn({b, t, h, d}).to(dtype).transpose(1, 2).detach();
}

using Form = Tensor (*)(const Tensor&, const Tensor&, const Tensor&, const AttentionTerms&,
                        const FusedAttentionOptions&);

void attention(benchmark::State& state, Form form, Setting x, bool train) {
  manual_seed(1);
  Tensor q = heads(x.b, x.t, x.h, x.d, x.dtype), k = heads(x.b, x.s, x.h, x.d, x.dtype),
         v = heads(x.b, x.s, x.h, x.d, x.dtype);
  Tensor cotangent = heads(x.b, x.t, x.h, x.d, x.dtype);
  AttentionTerms terms;
  terms.causal = x.causal;
  if (x.padded) {  // lengths from 2/3 S to S
    std::vector<int64_t> lengths;
    for (int64_t b = 0; b < x.b; ++b) lengths.push_back(x.s - b * 7 % (x.s / 3 + 1));
    terms.key_end = lengths;
  }
  FusedAttentionOptions options{.scale = 1 / std::sqrt(static_cast<double>(x.d)),
                                .dropout = x.dropout};
  if (train)
    for (Tensor* leaf : {&q, &k, &v}) leaf->set_requires_grad(true);
  for (auto _ : state) {
    Tensor out = form(q, k, v, terms, options);
    if (train) benchmark::DoNotOptimize(grad({out}, {q, k, v}, {cotangent}).data());
  }
  if (x.padded || x.t < 32) return;
  // Contractions, backward 2.5 times forward.
  static const double peak = fma_peak(num_threads());
  double flops = 4.0 * static_cast<double>(x.b * x.h * x.t * x.s * x.d) * (train ? 3.5 : 1) *
                 (x.causal ? 0.5 : 1);
  state.counters["% of FMA peak"] =
      benchmark::Counter(100 * flops / peak, benchmark::Counter::kIsIterationInvariantRate);
}

#define HEED_BENCH(name, form, train, ...)                              \
  BENCHMARK_CAPTURE(attention, name, form, Setting{__VA_ARGS__}, train) \
      ->Name("op/attention_" #name)                                     \
      ->UseRealTime()
#define HEED_TRAIN(name, ...) HEED_BENCH(name##_train, fused_attention, true, __VA_ARGS__)

HEED_TRAIN(b1h8t2048d64, 1, 8, 2048, 2048, 64);
HEED_TRAIN(b1h8t2048d64_causal, 1, 8, 2048, 2048, 64, true);
HEED_TRAIN(b8h8t512d64, 8, 8, 512, 512, 64);
HEED_TRAIN(b8h8t512d64_causal, 8, 8, 512, 512, 64, true);
HEED_TRAIN(b8h8t256d64_causal, 8, 8, 256, 256, 64, true);
HEED_TRAIN(b8h8t128d64_causal, 8, 8, 128, 128, 64, true);
HEED_TRAIN(b8h8t512d64_padded, 8, 8, 512, 512, 64, false, true);
HEED_TRAIN(b32h4t32d64, 32, 4, 32, 32, 64);
HEED_TRAIN(b32h4t32d32, 32, 4, 32, 32, 32);
HEED_TRAIN(b160h4t25d32, 160, 4, 25, 25, 32);
HEED_TRAIN(b160h4t25d32_padded, 160, 4, 25, 25, 32, false, true);
HEED_TRAIN(b160h4t25d32_padded_dropout, 160, 4, 25, 25, 32, false, true, 0.1);
HEED_TRAIN(b1h8t4096d64, 1, 8, 4096, 4096, 64);
HEED_BENCH(b1h8t2048d64_reference_train, fused_attention_reference, true, 1, 8, 2048, 2048, 64);
HEED_BENCH(b1h8t4096d64_reference_train, fused_attention_reference, true, 1, 8, 4096, 4096, 64);
HEED_BENCH(b1h8t2048d64, fused_attention, false, 1, 8, 2048, 2048, 64);
HEED_BENCH(decode_b1h8s8192d64, fused_attention, false, 1, 8, 1, 8192, 64);
HEED_BENCH(decode_b1h8s8192d64_bf16, fused_attention, false, 1, 8, 1, 8192, 64, false, false, 0,
           DType::bf16);
HEED_BENCH(decode_b160h4s25d32, fused_attention, false, 160, 4, 1, 25, 32);

}  // namespace
}  // namespace heed
