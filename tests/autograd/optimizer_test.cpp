// Optimizer steps at their edges; the rules are in opcases_optimizer.cpp, PyTorch's trajectories in
// tests/train.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/optimizer.h>
#include <heed/core/parallel.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {
Tensor state() { return Tensor(Array::from<double>({0.1, 1, 1, 0}, {kStepValues})); }
}  // namespace

TEST_CASE("optimizer steps take gradients of any strides") {
  Tensor p = ones({2, 3}), g = Tensor::from({1, 2, 3, 4, 5, 6}, {3, 2}).transpose(0, 1);
  sgd_step_(p, g, Tensor(), true, state(), {});
  CHECK(p.to_vector()[1] == test::Approx(1 - 0.1 * 3));
}

TEST_CASE("a step changes a saved tensor, and backward says so") {
  Tensor p = ones({2}).set_requires_grad(true);
  Tensor y = p * p;
  adam_step_(p, ones({2}), zeros({2}), zeros({2}), state(), {});
  REQUIRE_THROWS_SAYING(y.backward(ones({2})), GradError, "changed in place");
}

TEST_CASE("the global norm does not overflow f32, nor depend on the number of threads") {
  CHECK(global_norm({full({4}, 1e30)}).item() == test::Approx(2e30));
  CHECK(global_norm({}).item() == 0);
  const int threads = num_threads();
  Tensor x = randn({300001});
  set_num_threads(1);
  double one = global_norm({x, x}).item();
  set_num_threads(3);
  CHECK(global_norm({x, x}).item() == one);
  set_num_threads(threads);
  CHECK(std::isnan(global_norm({full({4}, NAN)}).item()));
}

TEST_CASE("optimizer steps refuse what does not fit") {
  Tensor p = ones({2, 2});
  REQUIRE_THROWS_SAYING(sgd_step_(p, ones({2}), Tensor(), true, state(), {}), ShapeError,
                        "the gradient [2] for a parameter [2, 2]");
  REQUIRE_THROWS_SAYING(sgd_step_(p, Tensor(), Tensor(), true, state(), {}), ValueError,
                        "the gradient is undefined");
  REQUIRE_THROWS_SAYING(sgd_step_(p, p, Tensor(), true, state(), {.momentum = 0.9}), ValueError,
                        "momentum buffer is undefined");
  REQUIRE_THROWS_SAYING(sgd_step_(p, p, Tensor(), true, state(), {.nesterov = true}), ValueError,
                        "nesterov");
  REQUIRE_THROWS_SAYING(sgd_step_(p, p, Tensor(), true, zeros({3}), {}), ShapeError,
                        "step state f64 [4] expected, got f32 [3]");
  REQUIRE_THROWS_SAYING(adam_step_(p, p, p, ones({4}), state(), {}), ShapeError,
                        "v [4] for a parameter");
  REQUIRE_THROWS_SAYING(adam_step_(p, ones({2, 2}, DType::f64), p, p, state(), {}), DTypeError,
                        "the gradient is f64");
  REQUIRE_THROWS_SAYING(adam_step_(ones({2, 3}).transpose(0, 1), ones({3, 2}), p, p, state(), {}),
                        ShapeError, "must be contiguous");
  REQUIRE_THROWS_SAYING(sgd_step_(arange(3), arange(3), Tensor(), true, state(), {}), DTypeError,
                        "f32, f64 or bf16");
  REQUIRE_THROWS_SAYING(global_norm({arange(3)}), DTypeError, "global_norm");
}
