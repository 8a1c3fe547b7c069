// Dense attention as three kernels on buffers that are there already: what the fused kernel has to
// beat. Forward and backward, without allocations, without a graph.
#include <cmath>

#include <benchmark/benchmark.h>

#include <heed/backends/matmul.h>
#include <heed/backends/softmax.h>
#include <heed/core/random.h>

namespace heed {
namespace {

struct Buffers {
  Array q, k, v, out, cotangent, map, slope, dq, dk, dv;

  Buffers(int64_t b, int64_t h, int64_t n, int64_t d) {
    uint64_t seed = 1;
    for (Array* x : {&q, &k, &v, &cotangent}) {
      *x = Array::empty({b, n, h, d}, DType::f32, kCpu).permute({0, 2, 1, 3});
      Array numbers = random_normal({b, h, n, d}, 0, 1, {seed++, 0}, DType::f32);
      kernels::matmul(numbers, eye(d), *x, 0);
    }
    for (Array* x : {&out, &dq, &dk, &dv})
      *x = Array::empty({b, n, h, d}, DType::f32, kCpu).permute({0, 2, 1, 3});
    for (Array* x : {&map, &slope}) *x = Array::empty({b, h, n, n}, DType::f32, kCpu);
  }

  static Array eye(int64_t d) {
    Array x = Array::zeros({d, d}, DType::f32, kCpu);
    // 1 / d^(1/4) on both sides of the product: the scale needs no pass of its own.
    float root = 1 / std::sqrt(std::sqrt(static_cast<float>(d)));
    for (int64_t i = 0; i < d; ++i) x.data<float>()[i * d + i] = root;
    return x;
  }
  static Array transposed(const Array& x) { return x.permute({0, 1, 3, 2}); }

  void forward() {
    kernels::matmul(q, transposed(k), map, 0);
    kernels::softmax(map, 3, false, map);
    kernels::matmul(map, v, out, 0);
  }
  void backward() {
    kernels::matmul(transposed(map), cotangent, dv, 0);
    kernels::matmul(cotangent, transposed(v), slope, 0);
    kernels::softmax_backward(map, slope, 3, false, slope);
    kernels::matmul(slope, k, dq, 0);
    kernels::matmul(transposed(slope), q, dk, 0);
  }
};

void products(benchmark::State& state, int64_t b, int64_t h, int64_t n, int64_t d) {
  Buffers x(b, h, n, d);
  for (auto _ : state) {
    x.forward();
    x.backward();
  }
}

BENCHMARK_CAPTURE(products, b1h8t2048d64, 1, 8, 2048, 64)
    ->Name("op/attention_b1h8t2048d64_products_train")
    ->UseRealTime();
BENCHMARK_CAPTURE(products, b1h8t4096d64, 1, 8, 4096, 64)
    ->Name("op/attention_b1h8t4096d64_products_train")
    ->UseRealTime();

}  // namespace
}  // namespace heed
