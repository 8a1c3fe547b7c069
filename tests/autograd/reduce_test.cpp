// Reductions at their edges: NaN, ties, infinities, empty axes, long sums, threads.
#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/backends/kernel.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN(),
                kInf = std::numeric_limits<float>::infinity();
}

TEST_CASE("the lowest index wins a tie and takes the gradient", "[reduce]") {
  Tensor x = Tensor::from({1, 3, 3, 0, 3}, {5}).set_requires_grad(true);
  CHECK(argmax(x, 0).item() == 1);
  CHECK(argmin(Tensor::from({2, 0, 0}, {3}), 0).item() == 1);
  max(x, 0).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{0, 1, 0, 0, 0});
  for (int64_t n : {64, 65, 300}) CHECK(argmax(ones({n}), 0).item() == 0);  // the vector path
}

TEST_CASE("NaN wins over numbers, the first one", "[reduce]") {
  for (int64_t n : {5, 100}) {
    Tensor x = zeros({n});
    x.slice(0, 0, 1).fill_(kInf);
    x.slice(0, 3, 4).fill_(kNaN);
    x.slice(0, 4, 5).fill_(kNaN);
    CHECK(argmax(x, 0).item() == 3);
    CHECK(argmin(x, 0).item() == 3);
    CHECK(std::isnan(max(x, 0).item()));
    Tensor last = zeros({n});
    last.slice(0, n - 1, n).fill_(kNaN);
    CHECK(argmax(last, 0).item() == static_cast<double>(n - 1));
  }
}

TEST_CASE("extremes of infinities", "[reduce]") {
  for (int64_t n : {3, 100}) {
    Tensor x = full({n}, -kInf);
    CHECK(argmax(x, 0).item() == 0);
    x.slice(0, 2, 3).fill_(-5);
    CHECK(max(x, 0).item() == -5);
    CHECK(min(x, 0).item() == -kInf);
    CHECK(argmin(x, 0).item() == 0);
  }
}

TEST_CASE("zeros of either sign are equal", "[reduce]") {
  std::vector<float> values(100, -0.0f);
  values[3] = 0.0f;
  CHECK(argmax(Tensor::from(values, {100}), 0).item() == 0);
}

TEST_CASE("empty sums are 0, empty means NaN", "[reduce]") {
  CHECK(sum(zeros({0})).item() == 0);
  CHECK(sum(zeros({0, 2}), {0}).to_vector() == std::vector<double>{0, 0});
  CHECK(sum(zeros({2, 0}), {0}).shape() == Shape{0});
  CHECK(std::isnan(mean(zeros({0})).item()));
  CHECK(std::isnan(var(ones({1})).item()));  // one degree of freedom too few
  CHECK(var(ones({1}), {}, false, 0).item() == 0);
  CHECK(max(zeros({0, 3}), 1).shape() == Shape{0});
}

TEST_CASE("sums keep their accuracy over long axes", "[reduce]") {
  constexpr int64_t n = 10'000'000;
  Tensor x = full({n}, 0.1);
  CHECK(sum(x).item() == Approx(n * static_cast<double>(0.1f)).epsilon(5e-7));
  CHECK(sum(x.reshape({n / 10, 10}), {0}).to_vector()[3] ==
        Approx(n / 10 * static_cast<double>(0.1f)).epsilon(5e-7));
  Tensor big = full({1 << 25}, 1);  // a plain f32 sum stops growing at 2^24
  CHECK(sum(big).item() == 1 << 25);
  CHECK(cumsum(full({1 << 20}, 0.1), 0)[-1].item() ==
        Approx((1 << 20) * static_cast<double>(0.1f)).epsilon(1e-6));
  // Along an outer axis too, and from the end, as the gradient goes.
  Tensor tall = full({1 << 18, 3}, 0.1).set_requires_grad(true);
  Tensor running = cumsum(tall, 0);
  const double want = (1 << 18) * static_cast<double>(0.1f);
  CHECK(running[-1].to_vector()[1] == Approx(want).epsilon(1e-6));
  running.backward(full(tall.shape(), 0.1));
  CHECK(tall.grad()[0].to_vector()[2] == Approx(want).epsilon(1e-6));
}

TEST_CASE("a variance far from zero does not cancel", "[reduce]") {
  Tensor x = Tensor::from({10000, 10001, 10002}, {3});
  CHECK(var(x).item() == 1);
}

TEST_CASE("integers are summed exactly and bool is counted", "[reduce]") {
  Tensor x = full({3}, 9007199254740993.0, DType::i64) + 1.0;
  CHECK(sum(x).array().data<int64_t>()[0] == 3 * x.array().data<int64_t>()[0]);
  Tensor count = sum(less(Tensor::from({0, 2, 0}, {3}), 1.0));
  CHECK(count.dtype() == DType::i64);
  CHECK(count.item() == 2);
}

TEST_CASE("logsumexp neither overflows nor makes NaN of -inf", "[reduce]") {
  Tensor x = Tensor::from({1000, 1000, -kInf, -kInf, 0, -kInf}, {3, 2}).set_requires_grad(true);
  Tensor y = logsumexp(x, 1);
  CHECK(y.to_vector()[0] == Approx(1000 + std::log(2)));
  CHECK(y.to_vector()[1] == -kInf);
  CHECK(y.to_vector()[2] == 0);
  y.backward(ones({3}));
  CHECK(x.grad().to_vector() == std::vector<double>{0.5, 0.5, 0, 0, 1, 0});
  CHECK(logsumexp(Tensor::from({kInf, 0}, {2}), 0).item() == kInf);
  CHECK(std::isnan(logsumexp(Tensor::from({kNaN, 0}, {2}), 0).item()));
}

TEST_CASE("the gradient of max goes to one element a row", "[reduce]") {
  Tensor x = Tensor::from({1, 5, 2, 7, 0, 7}, {2, 3}).set_requires_grad(true);
  sum(max(x, 1) * Tensor::from({2, 3}, {2})).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{0, 2, 0, 3, 0, 0});
}

TEST_CASE("sums do not depend on the number of threads", "[reduce]") {
  Tensor x = randn({300, 1000});
  int before = num_threads();
  std::vector<std::vector<double>> results;
  for (int threads : {1, 2, 3}) {
    set_num_threads(threads);
    results.push_back(sum(x).to_vector());
    for (const Shape& axes : {Shape{0}, Shape{1}}) {
      auto more = sum(x, axes).to_vector();
      results.back().insert(results.back().end(), more.begin(), more.end());
    }
  }
  set_num_threads(before);
  CHECK(results[0] == results[1]);
  CHECK(results[0] == results[2]);
}
