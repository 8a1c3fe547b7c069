// Single ops, f32; names as in peers/ops.py. `_train` is forward plus backward from a given
// cotangent.
#include <functional>

#include <benchmark/benchmark.h>

#include <heed/heed.h>

namespace {
using namespace heed;
using Op = std::function<Tensor(const std::vector<Tensor>&)>;
using MakeInputs = std::function<std::vector<Tensor>()>;

void add(const std::string& name, MakeInputs make, Op op) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    manual_seed(1);
    std::vector<Tensor> in = make();
    NoGrad guard;
    op(in);
    for (auto _ : state) benchmark::DoNotOptimize(op(in));
  })->UseRealTime();
}

void add_train(const std::string& name, MakeInputs make, Op op) {
  benchmark::RegisterBenchmark(name.c_str(), [=](benchmark::State& state) {
    manual_seed(1);
    std::vector<Tensor> in = make();
    for (Tensor& x : in)
      if (is_differentiable(x.dtype())) x.set_requires_grad(true);
    Tensor cotangent = randn(op(in).shape());
    auto step = [&] {
      for (Tensor& x : in) x.zero_grad();
      op(in).backward(cotangent);
    };
    step();
    for (auto _ : state) step();
  })->UseRealTime();
}

Tensor labels(int64_t count, int64_t classes) {
  Generator random(1);
  std::vector<int64_t> values;
  for (int64_t i = 0; i < count; ++i)
    values.push_back(static_cast<int64_t>(random.integer(static_cast<uint64_t>(classes))));
  return Tensor::from(values, {count});
}

const bool registered = [] {
  auto pair = [](Shape a, Shape b) { return [=] { return std::vector{randn(a), randn(b)}; }; };
  Op product = [](const auto& in) { return matmul(in[0], in[1]); };
  add("op/matmul_512", pair({512, 512}, {512, 512}), product);
  add("op/matmul_1024", pair({1024, 1024}, {1024, 1024}), product);
  add("op/matmul_4000x128x128", pair({4000, 128}, {128, 128}), product);
  add("op/matmul_640x32x32x32_nn", pair({640, 32, 32}, {640, 32, 32}), product);
  add("op/matmul_640x32x32x32_nt", pair({640, 32, 32}, {640, 32, 32}),
      [](const auto& in) { return matmul(in[0], transpose(in[1], -1, -2)); });

  auto one = [](Shape shape) { return [=] { return std::vector{randn(shape)}; }; };
  Op soft = [](const auto& in) { return softmax(in[0], -1); };
  add("op/softmax_2048x2048", one({2048, 2048}), soft);
  add_train("op/softmax_2048x2048_train", one({2048, 2048}), soft);
  auto norm_inputs = [] { return std::vector{randn({4096, 512}), randn({512}), randn({512})}; };
  Op norm = [](const auto& in) { return layer_norm(in[0], in[1], in[2]); };
  add("op/layer_norm_4096x512", norm_inputs, norm);
  add_train("op/layer_norm_4096x512_train", norm_inputs, norm);
  auto maps = [] {
    Shape x = {128, 16, 28, 28};
    return std::vector{randn(x), randn({16}), randn({16}), randn(x)};
  };
  add_train("op/batch_norm_128x16x28x28_train", maps,
            [](const auto& in) { return batch_norm_training(in[0], in[1], in[2]).y; });
  add_train("op/batch_norm_add_relu_128x16x28x28_train", maps, [](const auto& in) {
    return batch_norm_training(in[0], in[1], in[2], {.relu = true, .residual = in[3]}).y;
  });
  add_train("op/group_norm_128x16x28x28_train", maps,
            [](const auto& in) { return group_norm(in[0], 4, in[1], in[2]); });
  add("op/cumsum_2048x2048", one({2048, 2048}), [](const auto& in) { return cumsum(in[0], -1); });
  add("op/cumsum_outer_2048x2048", one({2048, 2048}),
      [](const auto& in) { return cumsum(in[0], 0); });
  add_train("op/dropout_4096x512_train", one({4096, 512}),
            [](const auto& in) { return dropout(in[0], 0.1); });
  add("op/exp_1000000", one({1000000}), [](const auto& in) { return exp(in[0]); });
  add_train(
      "op/linear_cross_entropy_4000x128x9000_train",
      [] {
        return std::vector{randn({4000, 128}), randn({9000, 128}), labels(4000, 9000)};
      },
      [](const auto& in) { return linear_cross_entropy(in[0], in[1], Tensor(), in[2]); });
  add_train(
      "op/chain_1000_one_element_train", [] { return std::vector{ones({1})}; },
      [](const auto& in) {
        Tensor x = in[0];
        for (int i = 0; i < 500; ++i) x = x * 1.001 + 0.001;
        return x;
      });
  return true;
}();

}  // namespace
