// A recomputed function gives the values and gradients of the function itself, and keeps less.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/recompute.h>
#include <heed/core/memory.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

struct Layer {
  Tensor w1, w2;
  explicit Layer(DType dtype = DType::f32)
      : w1(Tensor(random_normal({8, 4}, 0, 1, {1, 0}, dtype)).set_requires_grad(true)),
        w2(Tensor(random_normal({4, 8}, 0, 1, {2, 0}, dtype)).set_requires_grad(true)) {}
  Tensor operator()(const Tensor& x) const { return linear(tanh(linear(x, w1)), w2); }
};

Tensor input(DType dtype = DType::f32) {
  return Tensor(random_normal({3, 4}, 0, 1, {3, 0}, dtype)).set_requires_grad(true);
}

std::vector<std::vector<double>> gradients(const std::vector<Tensor>& tensors) {
  std::vector<std::vector<double>> out;
  for (const Tensor& t : tensors) {
    out.push_back(t.grad().to_vector());
    t.zero_grad();
  }
  return out;
}

}  // namespace

TEST_CASE("values and gradients are those of the function", "[recompute]") {
  Layer layer;
  Tensor x = input();
  Tensor y = layer(x);
  sum(square(y)).backward();
  auto want = gradients({x, layer.w1, layer.w2});
  Tensor z = recompute([&](auto& in) { return layer(in[0]); }, {x});
  CHECK(z.to_vector() == y.to_vector());
  sum(square(z)).backward();
  CHECK(gradients({x, layer.w1, layer.w2}) == want);
}

TEST_CASE("a parameter inside and outside gets both gradients", "[recompute]") {
  Layer layer;
  Tensor x = input();
  auto loss = [&](bool recomputed) {
    Tensor outside = layer(x);
    Tensor inside = recomputed ? recompute([&](auto& in) { return layer(in[0]); }, {x}) : layer(x);
    return sum(square(outside)) + sum(inside) + sum(layer.w1);
  };
  loss(false).backward();
  auto want = gradients({x, layer.w1, layer.w2});
  loss(true).backward();
  auto got = gradients({x, layer.w1, layer.w2});
  for (size_t i = 0; i < want.size(); ++i)
    for (size_t e = 0; e < want[i].size(); ++e)
      CHECK(got[i][e] == Approx(want[i][e]).epsilon(1e-5));
}

TEST_CASE("parameters are trained even where no input needs a gradient", "[recompute]") {
  Layer layer;
  Tensor x = input().detach();
  sum(recompute([&](auto& in) { return layer(in[0]); }, {x})).backward();
  CHECK(layer.w1.grad().defined());
  CHECK(layer.w2.grad().defined());
}

TEST_CASE("a captured result passes its gradient on", "[recompute]") {
  Tensor x = input(), y = input();
  Tensor memory = exp(y);
  sum(recompute([&](auto& in) { return in[0] * memory; }, {x})).backward();
  Tensor want = exp(y.detach()) * x.detach();
  for (size_t i = 0; i < 12; ++i) CHECK(y.grad().to_vector()[i] == Approx(want.to_vector()[i]));
}

TEST_CASE("the same dropout in forward and when run again", "[recompute]") {
  Tensor x = ones({1000}).set_requires_grad(true);
  manual_seed(5);
  Tensor y = recompute([](auto& in) { return dropout(in[0], 0.5); }, {x});
  auto after = default_generator().offset();
  randn({8});  // others draw numbers meanwhile
  sum(y).backward();
  CHECK(x.grad().to_vector() == y.to_vector());
  CHECK(default_generator().offset() == after + 2);  // backward left the generator alone
}

TEST_CASE("memory between forward and backward", "[recompute]") {
  Tensor x = ones({1 << 16}).set_requires_grad(true);
  auto f = [](const std::vector<Tensor>& in) {
    Tensor y = in[0];
    for (int i = 0; i < 10; ++i) y = sin(y);
    return y;
  };
  int64_t start = memory_stats().current_bytes;
  Tensor plain = f({x});
  int64_t kept_plain = memory_stats().current_bytes - start;
  plain = Tensor();
  Tensor saved = recompute(f, {x});
  int64_t kept_saved = memory_stats().current_bytes - start;
  CHECK(kept_saved * 4 < kept_plain);
  saved.backward(ones({1 << 16}));
  CHECK(std::isfinite(x.grad().to_vector()[0]));
}

TEST_CASE("derivatives of first and second order, nested", "[recompute]") {
  Layer layer(DType::f64);
  auto f = [&](const std::vector<Tensor>& in) {
    return recompute(
        [&](const std::vector<Tensor>& a) {
          return recompute([&](const std::vector<Tensor>& b) { return layer(b[0]) * a[0]; },
                           {exp(a[0] * 0.1)});
        },
        {in[0]});
  };
  GradcheckResult first = gradcheck(f, {input(DType::f64)});
  INFO(first.message);
  CHECK(first);
  GradcheckResult second = gradgradcheck(f, {input(DType::f64)});
  INFO(second.message);
  CHECK(second);
}

TEST_CASE("what a recomputed function refuses", "[recompute]") {
  Layer layer;
  Tensor x = input();
  Tensor y = recompute([&](auto& in) { return layer(in[0]); }, {x});
  {
    NoGrad guard;
    layer.w1.fill_(0);  // the run in backward would see other weights
  }
  REQUIRE_THROWS_SAYING(sum(y).backward(), GradError, "changed in place");
  Tensor other = recompute([&](auto& in) { return layer(in[0]); }, {x});
  Tensor fresh = layer.w1.detach().clone();
  while (fresh.version() < layer.w1.version()) fresh.fill_(1);
  layer.w1.set_value(fresh.array());
  REQUIRE_THROWS_SAYING(sum(other).backward(), GradError, "given another value");
  // Also where no op of the function saved it.
  Tensor b = ones({1}).set_requires_grad(true);
  Tensor added = recompute([&](auto& in) { return in[0] + b; }, {x});
  b.set_value(b.detach().clone().array());
  REQUIRE_THROWS_SAYING(sum(added).backward(), GradError, "given another value");
  CHECK_FALSE(b.grad().defined());
  int calls = 0;
  Tensor z = recompute([&](auto& in) { return ++calls == 1 ? exp(in[0]) : sum(in[0]); }, {x});
  REQUIRE_THROWS_SAYING(sum(z).backward(), GradError, "when run again");
  NoGrad guard;
  CHECK_FALSE(recompute([&](auto& in) { return layer(in[0]); }, {x}).requires_grad());
}

TEST_CASE("a second backward through a freed recomputed function is an error", "[recompute]") {
  Tensor x = input();
  Tensor y = sum(recompute([](auto& in) { return exp(in[0]); }, {x}));
  y.backward(Tensor(), true);
  y.backward();
  CHECK_THROWS_AS(y.backward(), GradError);
}
