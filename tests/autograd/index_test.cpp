// Indexing and sorting at their edges: repeated and padding indices, i32, order of NaN and ties.
#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

Tensor ids(std::vector<int64_t> values) {
  auto n = static_cast<int64_t>(values.size());
  return Tensor::from(values, {n});
}

}  // namespace

TEST_CASE("repeated indices add their gradients", "[index]") {
  Tensor w = ones({3, 2}).set_requires_grad(true);
  sum(embedding(w, ids({2, 0, 2, 2}))).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{1, 1, 0, 0, 3, 3});
  w.zero_grad();
  sum(index_select(w, 1, ids({1, 1, 0}))).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{1, 2, 1, 2, 1, 2});
  w.zero_grad();
  sum(index_select(w, 1, {1, 1, 0})).backward();  // the host's indices
  CHECK(w.grad().to_vector() == std::vector<double>{1, 2, 1, 2, 1, 2});
}

TEST_CASE("padding rows are read and never trained", "[index]") {
  Tensor w = Tensor::from({1, 2, 3, 4}, {2, 2}).set_requires_grad(true);
  Tensor y = embedding(w, ids({0, 1, 0}), 0);
  CHECK(y.to_vector() == std::vector<double>{1, 2, 3, 4, 1, 2});
  BackwardOptions create;
  create.create_graph = true;
  CHECK(grad({sum(y)}, {w}, {}, create)[0].to_vector() == std::vector<double>{0, 0, 1, 1});
  sum(y).backward();
  CHECK(w.grad().to_vector() == std::vector<double>{0, 0, 1, 1});
}

TEST_CASE("i32 indices and strided ones", "[index]") {
  Tensor w = arange(6, DType::f32).reshape({3, 2});
  CHECK(embedding(w, ids({2, 0}).to(DType::i32)).to_vector() == std::vector<double>{4, 5, 0, 1});
  CHECK(index_select(w, 0, ids({2, 9, 0, 9}).slice(0, 0, 4, 2)).to_vector() ==
        std::vector<double>{4, 5, 0, 1});
}

TEST_CASE("an embedding adds into a gradient that is there", "[index]") {
  Tensor w = zeros({1000, 64}).set_requires_grad(true);
  Tensor i = ids({1, 5, 5});
  Tensor y = sum(embedding(w, i)) + sum(embedding(w, i)) + sum(embedding(w, i));
  int64_t before = memory_stats().current_bytes;
  reset_peak_memory();
  y.backward();
  CHECK(memory_stats().peak_bytes - before < 3 * w.array().bytes());
  CHECK(w.grad()[5][0].item() == 6);
}

TEST_CASE("sums by index do not depend on the number of threads", "[index]") {
  Tensor w = zeros({50, 96}).set_requires_grad(true), g = randn({4000, 96});
  std::vector<int64_t> places(4000);
  for (size_t i = 0; i < places.size(); ++i) places[i] = static_cast<int64_t>(i * i % 50);
  int before = num_threads();
  std::vector<std::vector<double>> results;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    results.push_back(grad({embedding(w, ids(places))}, {w}, {g})[0].to_vector());
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}

TEST_CASE("gather and scatter_add are transposes", "[index]") {
  Tensor x = randn({3, 4}, DType::f64), g = randn({3, 2}, DType::f64);
  Tensor index = Tensor::from(std::vector<int64_t>{0, 3, 1, 1, 2, 0}, {3, 2});
  double forward = sum(gather(x, 1, index) * g).item();
  double backward = sum(x * scatter_add(zeros({3, 4}, DType::f64), 1, index, g)).item();
  CHECK(forward == Approx(backward));
}

TEST_CASE("sorting is stable in both directions", "[sort]") {
  Tensor x = Tensor::from({1, 0, 1, 0, 2}, {5});
  CHECK(sort(x).indices.to_vector() == std::vector<double>{1, 3, 0, 2, 4});
  CHECK(sort(x, 0, true).indices.to_vector() == std::vector<double>{4, 0, 2, 1, 3});
  CHECK(topk(x, 3).indices.to_vector() == std::vector<double>{4, 0, 2});
  CHECK(topk(ones({100}), 5).indices.to_vector() == std::vector<double>{0, 1, 2, 3, 4});
}

TEST_CASE("NaN counts as the largest", "[sort]") {
  Tensor x = Tensor::from({kNaN, 1, INFINITY, kNaN, -INFINITY}, {5});
  CHECK(sort(x).indices.to_vector() == std::vector<double>{4, 1, 2, 0, 3});
  CHECK(sort(x, 0, true).indices.to_vector() == std::vector<double>{0, 3, 2, 1, 4});
  CHECK(topk(x, 1).indices.to_vector() == std::vector<double>{0});
}

TEST_CASE("gradients of sorted values go back to their places", "[sort]") {
  Tensor x = Tensor::from({3, 1, 2}, {3}).set_requires_grad(true);
  sum(sort(x).values * Tensor::from({10, 20, 30}, {3})).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{30, 10, 20});
  x.zero_grad();
  sum(topk(x, 2).values).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{1, 0, 1});
  CHECK_FALSE(sort(x).indices.requires_grad());
  CHECK_FALSE(sort(arange(3)).values.requires_grad());
}

TEST_CASE("empty selections", "[sort]") {
  CHECK(topk(ones({2, 3}), 0).values.shape() == Shape{2, 0});
  CHECK(sort(zeros({0})).indices.numel() == 0);
  CHECK(index_select(ones({2, 3}), 0, ids({})).shape() == Shape{0, 3});
  CHECK(embedding(ones({2, 3}), zeros({0, 2}, DType::i64)).shape() == Shape{0, 2, 3});
}
