// The fused loss over a large vocabulary; values and derivatives are in opcases_loss.cpp.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

using namespace heed;

namespace {
struct Problem {
  Tensor x, weight, bias, target;
  Problem(int64_t rows, int64_t size, int64_t classes, DType dtype = DType::f32)
      : x(random_normal({rows, size}, 0, 1, {1, 0}, dtype)),
        weight(random_normal({classes, size}, 0, 0.3, {2, 0}, dtype)),
        bias(random_normal({classes}, 0, 1, {3, 0}, dtype)) {
    std::vector<int64_t> t;
    for (int64_t i = 0; i < rows; ++i) t.push_back(i % 7 == 3 ? -100 : i * 7919 % classes);
    target = Tensor::from(t, {rows});
    for (Tensor* p : {&x, &weight, &bias}) p->set_requires_grad(true);
  }
  Tensor loss(CrossEntropyOptions o = {}) const {
    return linear_cross_entropy(x, weight, bias, target, o);
  }
};
}  // namespace

TEST_CASE("linear_cross_entropy never holds all logits") {
  Problem p(3000, 8, 4000);
  reset_peak_memory();
  int64_t before = memory_stats().current_bytes;
  Tensor loss = p.loss();
  loss.backward();
  CHECK(memory_stats().peak_bytes - before < 3000 * 4000 * 4 / 2);
}

TEST_CASE("linear_cross_entropy equals its reference over many chunks, for any number of threads") {
  const int threads = num_threads();
  for (int t : {1, 2, 5}) {
    set_num_threads(t);
    for (CrossEntropyOptions o :
         {CrossEntropyOptions{}, CrossEntropyOptions{0.1, -100, Reduction::sum}}) {
      Problem p(611, 20, 1301, DType::f64);
      Tensor loss = p.loss(o),
             other = linear_cross_entropy_reference(p.x, p.weight, p.bias, p.target, o);
      CHECK(loss.item() == test::Approx(other.item()).epsilon(1e-12));
      auto got = grad({loss}, {p.x, p.weight, p.bias}),
           want = grad({other}, {p.x, p.weight, p.bias});
      for (size_t i = 0; i < 3; ++i)
        CHECK(test::close(got[i].to_vector(), want[i].to_vector(), 1e-11, 1e-6));
      auto again = grad({p.loss(o)}, {p.x, p.weight, p.bias});
      for (size_t i = 0; i < 3; ++i) CHECK(got[i].to_vector() == again[i].to_vector());
    }
  }
  set_num_threads(threads);
}

TEST_CASE("linear_cross_entropy: gradients scale with the cotangent, twice if asked") {
  Problem p(10, 4, 9);
  Tensor loss = p.loss();
  auto once = grad({loss}, {p.weight}, {}, {.retain_graph = true});
  auto scaled = grad({loss}, {p.weight}, {Tensor::scalar(-3)}, {.retain_graph = true});
  auto added = grad({loss * 2 + loss}, {p.weight});
  for (size_t i = 0; i < 36; ++i) {
    double g = once[0].to_vector()[i];
    CHECK(scaled[0].to_vector()[i] == test::Approx(-3 * g).margin(1e-6));
    CHECK(added[0].to_vector()[i] == test::Approx(3 * g).margin(1e-6));
  }
}

TEST_CASE("linear_cross_entropy: only the gradients that are wanted, and none without a graph") {
  Problem p(12, 4, 9);
  p.x.set_requires_grad(false);
  p.bias.set_requires_grad(false);
  p.loss().backward();
  CHECK(p.weight.grad().defined());
  double value = p.loss().item();
  NoGrad guard;
  CHECK_FALSE(p.loss().requires_grad());
  CHECK(p.loss().item() == value);
}

TEST_CASE(
    "linear_cross_entropy: NaN in an ignored row reaches nothing; no row that counts gives 0") {
  Problem p(9, 4, 5);
  double value = p.loss().item();
  p.x.detach().slice(0, 3, 4).fill_(NAN);  // row 3 is ignored
  Tensor loss = p.loss();
  CHECK(loss.item() == value);
  loss.backward();
  for (const Tensor& t : {p.x, p.weight, p.bias})
    for (double g : t.grad().to_vector()) CHECK(std::isfinite(g));
  Tensor none = linear_cross_entropy(p.x, p.weight, p.bias, full({9}, -100, DType::i64));
  CHECK(none.item() == 0);
  for (const Tensor& g : grad({none}, {p.x, p.weight, p.bias}))
    for (double value : g.to_vector()) CHECK(value == 0);
}

TEST_CASE("linear_cross_entropy: a class that is ruled out by a bias of -inf") {
  Problem p(6, 4, 1200, DType::f64);
  p.bias.detach().slice(0, 0, 700).fill_(-INFINITY);  // whole blocks of classes
  p.target = full({6}, 1100, DType::i64);
  Tensor loss = p.loss();
  CHECK(loss.item() ==
        test::Approx(linear_cross_entropy_reference(p.x, p.weight, p.bias, p.target).item()));
  for (const Tensor& g : grad({loss}, {p.x, p.weight, p.bias}))
    for (double value : g.to_vector()) CHECK(std::isfinite(value));
}

TEST_CASE("linear_cross_entropy refuses what does not fit") {
  Problem p(4, 3, 5);
  auto run = [&](const Tensor& x, const Tensor& w, const Tensor& b, const Tensor& t,
                 CrossEntropyOptions o = {}) { return linear_cross_entropy(x, w, b, t, o); };
  REQUIRE_THROWS_SAYING(run(p.x, zeros({5, 4}), p.bias, p.target), ShapeError,
                        "got [4, 3] and [5, 4]");
  REQUIRE_THROWS_SAYING(run(p.x, zeros({0, 3}), Tensor(), p.target), ShapeError, "is empty");
  REQUIRE_THROWS_SAYING(run(p.x, p.weight, zeros({4}), p.target), ShapeError,
                        "bias of shape [5] expected");
  REQUIRE_THROWS_SAYING(run(p.x, zeros({5, 3}, DType::f64), p.bias, p.target), DTypeError,
                        "weight is f64, x is f32");
  REQUIRE_THROWS_SAYING(run(p.x, p.weight, p.bias, full({4}, 5, DType::i64)), ValueError,
                        "target 5 at place 0");
  REQUIRE_THROWS_SAYING(run(p.x, p.weight, p.bias, p.target, {0, -100, Reduction::none}),
                        ValueError, "got none");
}
