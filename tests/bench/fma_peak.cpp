#include "fma_peak.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <thread>
#include <vector>

#include <heed/backends/kernel.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace heed {
namespace {

constexpr int64_t kRounds = 4'000'000;
constexpr int kChains = 12;  // independent ones: two units with a latency of 4 or 5 are kept busy
volatile float sink;

#if defined(__x86_64__)
__attribute__((target("avx512f"))) int64_t chains512() {
  __m512 x[kChains], a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(0.001f);
  for (int n = 0; n < kChains; ++n) x[n] = _mm512_set1_ps(static_cast<float>(n));
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int n = 0; n < kChains; ++n) x[n] = _mm512_fmadd_ps(x[n], a, b);
  for (int n = 1; n < kChains; ++n) x[0] = _mm512_add_ps(x[0], x[n]);
  sink = _mm512_cvtss_f32(x[0]);
  return kRounds * kChains * 16 * 2;
}

__attribute__((target("avx2,fma"))) int64_t chains256() {
  __m256 x[kChains], a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(0.001f);
  for (int n = 0; n < kChains; ++n) x[n] = _mm256_set1_ps(static_cast<float>(n));
  for (int64_t i = 0; i < kRounds; ++i)
#pragma GCC unroll 12
    for (int n = 0; n < kChains; ++n) x[n] = _mm256_fmadd_ps(x[n], a, b);
  for (int n = 1; n < kChains; ++n) x[0] = _mm256_add_ps(x[0], x[n]);
  sink = _mm256_cvtss_f32(x[0]);
  return kRounds * kChains * 8 * 2;
}
#endif

int64_t chains() {
#if defined(__x86_64__)
  if (cpu_supports(IsaLevel::avx512)) return chains512();
  if (cpu_supports(IsaLevel::avx2)) return chains256();
#endif
  float x[kChains] = {};
  for (int64_t i = 0; i < kRounds; ++i)
    for (float& v : x) v = v * 0.999f + 0.001f;
  for (float v : x) sink = v;
  return kRounds * kChains * 2;
}

}  // namespace

double fma_peak(int threads) {
  double best = 0;
  for (int run = 0; run < 5; ++run) {
    std::vector<int64_t> done(static_cast<size_t>(threads));
    std::vector<std::thread> workers;
    auto start = std::chrono::steady_clock::now();
    for (int64_t& d : done) workers.emplace_back([&d] { d = chains(); });
    for (std::thread& worker : workers) worker.join();
    std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    double operations = 0;
    for (int64_t d : done) operations += static_cast<double>(d);
    best = std::max(best, operations / took.count());
  }
  return best;
}

}  // namespace heed
