// Norms at their edges; values and derivatives are in opcases_norm.cpp.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/norm.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>

using namespace heed;

TEST_CASE("layer norm far from zero loses nothing to cancellation") {
  Tensor x = randn({50, 64}, DType::f64);
  std::vector<double> want = layer_norm(x, Tensor(), Tensor()).to_vector();
  std::vector<double> got = layer_norm((x + 1000).to(DType::f32), Tensor(), Tensor()).to_vector();
  for (size_t i = 0; i < want.size(); ++i)
    CHECK(std::abs(got[i] - want[i]) < 1e-3);  // f32 near 1000: 6e-5
}

TEST_CASE("layer and RMS norm of finite numbers whose squares overflow f32") {
  for (double size : {1e19, 1e20, 1e38}) {
    INFO(size);
    Tensor x = Tensor::from<double>({size, -size, size, -size, size, -size}, {1, 6}).to(DType::f32);
    for (const Tensor& y : {layer_norm(x, Tensor(), Tensor()), rms_norm(x, Tensor())}) {
      std::vector<double> got = y.to_vector();
      for (size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - (i % 2 ? -1 : 1)) < 1e-6);
    }
  }
}

TEST_CASE("a constant row gives the bias, a NaN its own row only") {
  Tensor bias = Tensor::from({1, 2, 3}, {3});
  CHECK(layer_norm(full({1, 3}, 7), Tensor(), bias).to_vector() == std::vector<double>{1, 2, 3});
  Tensor x = Tensor::from({1, NAN, 2, 1, 2, 3}, {2, 3});
  std::vector<double> y = layer_norm(x, Tensor(), Tensor()).to_vector();
  CHECK((std::isnan(y[0]) && std::isnan(y[1]) && std::isnan(y[2]) && std::isfinite(y[3])));
}

TEST_CASE("add_layer_norm saves the sum alone and gives both summands one gradient") {
  Tensor x = randn({512, 64}).set_requires_grad(true), r = randn({512, 64}).set_requires_grad(true);
  Tensor w = ones({64}).set_requires_grad(true);
  int64_t before = memory_stats().current_bytes;
  Tensor y = add_layer_norm(x, r, w, Tensor());
  CHECK(memory_stats().current_bytes - before <
        3 * x.array().bytes());  // y and the sum, rounded up to size classes
  y.backward(randn({512, 64}));
  CHECK(x.grad().to_vector() == r.grad().to_vector());
  NoGrad guard;
  CHECK(add_layer_norm(x, r, w, Tensor()).to_vector() ==
        layer_norm(x + r, w, Tensor()).to_vector());
  CHECK(add_layer_norm(x, r, w, Tensor()).to_vector() == y.to_vector());
}

TEST_CASE("add_layer_norm: second derivatives where only some inputs take a gradient") {
  for (unsigned wanted = 1; wanted < 16; ++wanted) {
    std::vector<Tensor> in{randn({2, 3}, DType::f64), randn({2, 3}, DType::f64),
                           randn({3}, DType::f64), randn({3}, DType::f64)};
    for (unsigned i = 0; i < 4; ++i)
      if (wanted >> i & 1) in[i].set_requires_grad(true);
    GradcheckResult r = gradgradcheck(
        [](const std::vector<Tensor>& x) { return add_layer_norm(x[0], x[1], x[2], x[3], 1e-3); },
        in);
    INFO(wanted << ": " << r.message);
    CHECK(r);
  }
}

TEST_CASE("the gradients of weight and bias are the same bits twice") {
  Tensor x = randn({3000, 33}).set_requires_grad(true), g = randn({3000, 33});
  Tensor w = randn({33}).set_requires_grad(true), b = randn({33}).set_requires_grad(true);
  auto run = [&] { return grad({layer_norm(x, w, b)}, {x, w, b}, {g}); };
  auto first = run(), second = run();
  for (size_t i = 0; i < 3; ++i) CHECK(first[i].to_vector() == second[i].to_vector());
}

TEST_CASE("norms refuse what does not fit") {
  Tensor x = zeros({2, 3});
  REQUIRE_THROWS_SAYING(layer_norm(x, zeros({4}), Tensor()), ShapeError,
                        "layer_norm: weight of shape [3] expected, got [4]");
  REQUIRE_THROWS_SAYING(layer_norm(x, Tensor(), zeros({1, 3})), ShapeError,
                        "bias of shape [3] expected");
  REQUIRE_THROWS_SAYING(layer_norm(x, zeros({3}, DType::f64), Tensor()), DTypeError,
                        "weight is f64, x is f32");
  REQUIRE_THROWS_SAYING(rms_norm(arange(3), Tensor()), DTypeError,
                        "rms_norm: f32, f64 or bf16 expected");
  REQUIRE_THROWS_SAYING(rms_norm(zeros({}), Tensor()), ShapeError, "at least one axis");
  REQUIRE_THROWS_SAYING(layer_norm(x, Tensor(), Tensor(), -1), ValueError, "eps is -1");
  REQUIRE_THROWS_SAYING(add_layer_norm(x, zeros({3}), Tensor(), Tensor()), ShapeError,
                        "residual [3]");
  REQUIRE_THROWS_SAYING(add_layer_norm(x, zeros({2, 3}, DType::f64), Tensor(), Tensor()),
                        DTypeError, "residual is f64");
}
