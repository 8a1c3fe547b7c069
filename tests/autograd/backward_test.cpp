// The engine: what accumulates, what is refused, hooks, second order, long graphs.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/core/memory.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;

namespace {

Tensor leaf(std::initializer_list<float> values, const Shape& shape) {
  return Tensor::from(values, shape).set_requires_grad(true);
}
std::vector<double> list(std::initializer_list<double> values) { return values; }

}  // namespace

TEST_CASE("a product's gradient", "[backward]") {
  Tensor x = leaf({1, 2, 3}, {3});
  sum(x * x).backward();
  CHECK(x.grad().to_vector() == list({2, 4, 6}));
}

TEST_CASE("gradients accumulate over calls and over uses", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  sum(x * 3.0).backward();
  sum(x * 3.0).backward();
  CHECK(x.grad().to_vector() == list({6, 6}));
  x.zero_grad();
  CHECK_FALSE(x.grad().defined());
  Tensor y = x + x + x;  // three uses in one graph
  sum(y * y).backward();
  CHECK(x.grad().to_vector() == list({18, 36}));
}

TEST_CASE("a gradient that two leaves would share is not changed through the other", "[backward]") {
  Tensor a = leaf({1, 2}, {2}), b = leaf({3, 4}, {2});
  Tensor y = a + b;
  sum(y).backward();
  sum(a * 5.0).backward();
  CHECK(a.grad().to_vector() == list({6, 6}));
  CHECK(b.grad().to_vector() == list({1, 1}));
}

TEST_CASE("a cotangent weighs the outputs", "[backward]") {
  Tensor x = leaf({1, 2, 3}, {3});
  (x * x).backward(Tensor::from({1, 0, -1}, {3}));
  CHECK(x.grad().to_vector() == list({2, 0, -6}));
  CHECK_THROWS_AS((x * x).backward(), GradError);  // three elements need a cotangent
  CHECK_THROWS_AS((x * x).backward(Tensor::from({1, 1}, {2})),
                  ShapeError);                                           // of the output's shape
  CHECK_THROWS_AS((x * x).backward(ones({3}, DType::f64)), ShapeError);  // and dtype
}

TEST_CASE("several outputs at once", "[backward]") {
  Tensor x = leaf({2}, {});
  backward({x * x, x * 3.0}, {Tensor(), Tensor()});
  CHECK(x.grad().item() == 7);
}

TEST_CASE("nothing to differentiate is an error", "[backward]") {
  Tensor x = Tensor::from({1, 2}, {2});
  REQUIRE_THROWS_SAYING(sum(x).backward(), GradError, "no output requires a gradient");
  REQUIRE_THROWS_SAYING(grad({sum(leaf({1}, {1}))}, {x}), GradError, "does not require a gradient");
}

TEST_CASE("no_grad and detach leave nothing on the tape", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  {
    NoGrad guard;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE((x * x).requires_grad());
    {
      GradMode on(true);
      CHECK((x * x).requires_grad());
    }
  }
  CHECK(grad_enabled());
  Tensor y = sum(x * x.detach());
  y.backward();
  CHECK(x.grad().to_vector() == list({1, 2}));
  CHECK(x.detach().array().shares_storage(x.array()));
}

TEST_CASE("constants get no gradient and integers none either", "[backward]") {
  Tensor x = leaf({1, 2}, {2}), c = Tensor::from({3, 4}, {2});
  sum(x * c).backward();
  CHECK_FALSE(c.grad().defined());
  CHECK_FALSE(argmax(x, 0).requires_grad());
  CHECK_FALSE(less(x, c).requires_grad());
  Tensor whole = arange(3);
  CHECK_THROWS_AS(whole.set_requires_grad(true), DTypeError);
}

TEST_CASE("a second backward needs retain_graph", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  Tensor y = sum(exp(x));
  y.backward(Tensor(), true);
  y.backward();
  CHECK(x.grad().to_vector()[0] == Approx(2 * std::exp(1.0)));
  REQUIRE_THROWS_SAYING(y.backward(), GradError, "retain_graph");
}

TEST_CASE("backward frees what forward saved", "[backward]") {
  Tensor x = ones({1024}).set_requires_grad(true);
  Tensor y = sum(exp(exp(exp(x))));
  int64_t before = memory_stats().current_bytes;
  y.backward();
  CHECK(memory_stats().current_bytes < before);  // three saved outputs gone, one gradient come
}

TEST_CASE("a saved tensor changed in place is noticed", "[backward]") {
  Tensor x = leaf({1, 2}, {2}), w = Tensor::from({3, 4}, {2});
  Tensor y = sum(x * w);
  w.fill_(0);
  REQUIRE_THROWS_SAYING(y.backward(), GradError, "changed in place");
  Tensor e = exp(x);
  {
    NoGrad guard;
    e.fill_(1);  // exp saved its output
  }
  REQUIRE_THROWS_SAYING(sum(e).backward(), GradError, "'exp'");
  Tensor part = w.slice(0, 0, 1);
  Tensor z = sum(x * w);
  part.fill_(5);  // a view is the same memory
  CHECK_THROWS_AS(z.backward(), GradError);
}

TEST_CASE("another value between forward and backward is noticed, saved or not", "[backward]") {
  Tensor x = leaf({1, 2}, {2}), w = Tensor::from({3, 4}, {2});
  Tensor y = sum(x * w);
  w.set_value(Tensor::from({5, 6}, {2}).array());  // of the same version, in other memory
  REQUIRE_THROWS_SAYING(y.backward(), GradError, "saved was changed in place");
  // Back to the value it had, in memory that may be the same: still not what forward saw.
  Tensor p = leaf({3, 4}, {2}), z = sum(x * p);
  Array first = p.array();
  p.set_value(first.to(heed::test::test_device()));
  p.set_value(first);
  REQUIRE_THROWS_SAYING(z.backward(Tensor(), true), GradError, "given another value");
  REQUIRE_THROWS_SAYING(grad({z}, {x}), GradError, "changed in place");
  // No op saved b, but the gradient would go to a leaf that is gone.
  Tensor b = leaf({1, 1}, {2}), s = sum(x + b);
  b.set_value(b.to(DType::f64).detach().array());
  REQUIRE_THROWS_SAYING(s.backward(Tensor(), true), GradError, "given another value");
  for (const Tensor& t : {x, b}) CHECK_FALSE(t.grad().defined());  // nothing was written before
  CHECK(grad({s}, {x})[0].to_vector() == std::vector<double>{1, 1});
}

TEST_CASE("hooks stay with a tensor that gets another value", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  int calls = 0;
  x.register_hook(
      [](const Tensor&, void* context) {
        ++*static_cast<int*>(context);
        return Tensor();
      },
      &calls);
  x.set_value(Tensor::from({3, 4}, {2}).to(DType::f64).array());
  sum(x * x).backward();
  CHECK(calls == 1);
  CHECK(x.grad().to_vector() == std::vector<double>{6, 8});
}

TEST_CASE("a tensor on the tape is not changed in place by mistake", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  CHECK_THROWS_AS(x.fill_(0), GradError);
  CHECK_THROWS_AS((x * 2.0).copy_(Tensor::from({1, 1}, {2})), GradError);
  NoGrad guard;
  x.fill_(7);
  CHECK(x.to_vector() == list({7, 7}));
}

TEST_CASE("hooks see and replace gradients", "[backward]") {
  static int calls;
  calls = 0;
  Tensor x = leaf({1, 2}, {2});
  Tensor y = x * 2.0;
  y.register_hook(
      [](const Tensor& g, void* context) {
        ++calls;
        CHECK(*static_cast<int*>(context) == 42);
        CHECK(g.to_vector() == list({2, 2}));  // complete: both uses are in
        return g * 10.0;
      },
      [] {
        static int number = 42;
        return static_cast<void*>(&number);
      }());
  sum(y + y).backward();
  CHECK(calls == 1);
  CHECK(x.grad().to_vector() == list({40, 40}));
  x.register_hook([](const Tensor&, void*) { return Tensor(); }, nullptr);  // undefined: as it was
  x.zero_grad();
  sum(x).backward();
  CHECK(x.grad().to_vector() == list({1, 1}));
  CHECK_THROWS_AS(Tensor::from({1}, {1}).register_hook(nullptr, nullptr), GradError);
}

TEST_CASE("grad returns gradients and leaves the leaves alone", "[backward]") {
  Tensor x = leaf({1, 2}, {2}), y = leaf({3, 4}, {2});
  Tensor middle = x * y;
  auto g = grad({sum(middle * middle)}, {middle, x});
  CHECK(g[0].to_vector() == list({6, 16}));
  CHECK(g[1].to_vector() == list({18, 64}));
  CHECK_FALSE(x.grad().defined());
  REQUIRE_THROWS_SAYING(grad({sum(x)}, {y}), GradError, "allow_unused");
  BackwardOptions allow;
  allow.allow_unused = true;
  CHECK_FALSE(grad({sum(x)}, {y}, {}, allow)[0].defined());
}

TEST_CASE("second and third derivatives", "[backward]") {
  Tensor x = Tensor::scalar(2, DType::f64).set_requires_grad(true);
  BackwardOptions create;
  create.create_graph = true;
  Tensor y = x * x * x * x;
  Tensor first = grad({y}, {x}, {}, create)[0];
  Tensor second = grad({first}, {x}, {}, create)[0];
  Tensor third = grad({second}, {x}, {}, create)[0];
  CHECK(first.item() == 32);
  CHECK(second.item() == 48);
  CHECK(third.item() == 48);
  CHECK_FALSE(grad({y}, {x})[0].requires_grad());
}

TEST_CASE("a gradient penalty trains through backward", "[backward]") {
  Tensor x = leaf({1, 2}, {2});
  Tensor y = sum(softmax(x * x, 0) * Tensor::from({1, 3}, {2}));
  y.backward(Tensor(), true, true);
  Tensor penalty = sum(square(x.grad()));
  CHECK(penalty.requires_grad());
  Tensor g = grad({penalty}, {x})[0];
  CHECK(std::isfinite(g.to_vector()[0]));
  x.zero_grad();  // a recorded gradient holds the graph that holds x: a circle until it is cleared
}

TEST_CASE("a chain of 100,000 ops neither overflows the stack nor crawls", "[backward]") {
  Tensor x = leaf({1}, {1});
  Tensor y = x;
  for (int i = 0; i < 100000; ++i) y = y + 1.0;
  y.backward();
  CHECK(x.grad().item() == 1);
  y = Tensor();  // the graph dies without recursion
  Tensor z = x;
  for (int i = 0; i < 100000; ++i) z = z * 1.0;
  z = Tensor();  // never went backward
  SUCCEED();
}

TEST_CASE("a graph that doubles at each level is walked once a node", "[backward]") {
  Tensor x = leaf({1}, {1});
  Tensor y = x;
  for (int i = 0; i < 60; ++i) y = (y + y) * 0.5;
  y.backward();
  CHECK(x.grad().item() == 1);
}

TEST_CASE("reading the parts of a tensor in a loop costs as much as the parts", "[backward]") {
  constexpr int64_t n = 4000;
  Tensor x = ones({n, 64}).set_requires_grad(true);
  Tensor total = Tensor::scalar(0);
  for (int64_t i = 0; i < n; ++i) total = total + sum(x[i]) * static_cast<double>(i % 7);
  int64_t before = memory_stats().current_bytes;
  reset_peak_memory();
  total.backward();
  CHECK(memory_stats().peak_bytes - before <
        8 * x.array().bytes());  // quadratic would be 4000 times
  CHECK(x.grad().to_vector()[64 * 13] == 6);
}

TEST_CASE("one parameter in several ops that add into its gradient", "[backward]") {
  Tensor w = ones({4, 3}).set_requires_grad(true), x = ones({2, 3});
  Tensor ids = arange(4);
  for (int order = 0; order < 2; ++order) {
    w.zero_grad();
    Tensor a = sum(linear(x, w)), b = sum(embedding(w, ids)), c = sum(w.slice(0, 1, 3) * 3.0);
    (order ? c + b + a : a + b + c).backward();
    CHECK(w.grad().to_vector() == list({3, 3, 3, 6, 6, 6, 6, 6, 6, 3, 3, 3}));
  }
}

TEST_CASE("an exception in backward leaves the engine usable", "[backward]") {
  Tensor x = leaf({1, 2}, {2}), w = Tensor::from({3, 4}, {2});
  Tensor y = sum(exp(x) * w);
  w.fill_(1);
  CHECK_THROWS_AS(y.backward(), GradError);
  CHECK_FALSE(x.grad().defined());
  sum(x).backward();
  CHECK(x.grad().to_vector() == list({1, 1}));
}
