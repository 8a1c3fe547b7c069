// Anomaly mode names the op, its inputs, the module and, as this file is compiled with -g, the
// line.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

template <class F>
static std::string message_of(F f) {
  try {
    f();
  } catch (const NumericError& error) {
    return error.what();
  }
  return "";
}

static std::string here(int line) { return "anomaly_test.cpp:" + std::to_string(line); }

TEST_CASE("the first op that makes a value that is not finite", "[anomaly]") {
  Tensor x = Tensor::from({1, 0, 4}, {3});
  CHECK(std::isinf(log(x).to_vector()[1]));  // off: nothing happens
  AnomalyMode guard;
  std::string encoder = "encoder", layer = "layers.0";
  ModuleScope outer(&encoder), inner(&layer);
  int line = 0;
  std::string said = message_of([&] {
    Tensor y = x * 2.0;
    line = __LINE__ + 1;
    y = log(y);
    y = exp(y);
  });
  INFO(said);
  CHECK_THAT(said, ContainsSubstring("'log'"));
  CHECK_THAT(said, ContainsSubstring("-inf at [1] of [3] f32"));
  CHECK_THAT(said, ContainsSubstring("inputs: [3] f32"));
  CHECK_THAT(said, ContainsSubstring("module encoder.layers.0"));
  CHECK_THAT(said, ContainsSubstring(here(line)));
}

TEST_CASE("inputs that are not finite are named at once", "[anomaly]") {
  AnomalyMode guard;
  std::string said = message_of([] { add(Tensor::from({1, NAN}, {2}), Tensor::from({1}, {1})); });
  CHECK_THAT(said, ContainsSubstring("'add'"));
  CHECK_THAT(said, ContainsSubstring("already nan at [1] of [2]"));
}

TEST_CASE("scores masked with -inf are no anomaly", "[anomaly]") {
  AnomalyMode guard;
  Tensor x = Tensor::from({1, 2, 3}, {3}).set_requires_grad(true);
  Tensor masked = where(less(x, 2.5), x, -INFINITY);
  Tensor y = sum(softmax(masked, 0) * Tensor::from({1, 2, 3}, {3})) + logsumexp(masked, 0);
  y.backward();
  CHECK(std::isfinite(x.grad().to_vector()[2]));
}

TEST_CASE("a gradient that is not finite is traced to its forward line", "[anomaly]") {
  Tensor x = Tensor::from({0, 1}, {2}).set_requires_grad(true);
  AnomalyMode guard;
  std::string name = "decoder";
  Tensor y;
  int line = 0;
  {
    ModuleScope scope(&name);
    line = __LINE__ + 1;
    y = sqrt(x);  // finite, but its derivative at 0 is not
  }
  std::string said = message_of([&] { sum(y).backward(); });
  INFO(said);
  CHECK_THAT(said, ContainsSubstring("gradient of 'sqrt' by input 0"));
  CHECK_THAT(said, ContainsSubstring("inf at [0] of [2]"));
  CHECK_THAT(said, ContainsSubstring("module decoder"));
  CHECK_THAT(said, ContainsSubstring(here(line)));
}

TEST_CASE("anomaly mode ends with its scope", "[anomaly]") {
  CHECK_FALSE(anomaly_mode());
  {
    AnomalyMode guard;
    CHECK(anomaly_mode());
  }
  CHECK_FALSE(anomaly_mode());
}
