// Recomputed functions with several outputs, and around ops that have several.
#include <heed/autograd/recompute.h>
#include <heed/tests/autograd/several_outputs.h>

namespace heed::outputs_test {
namespace {

TEST_CASE("a recomputed function with two outputs", "[outputs][recompute]") {
  auto in = point();
  auto f = [](const std::vector<Tensor>& a) {
    auto [e, product] = fused_of(a[0], tanh(a[1]));
    return std::vector<Tensor>{e, sin(product), cast(greater(e, product), DType::i64)};
  };
  auto want = f(in), got = recompute(f, in);
  REQUIRE(got.size() == 3);
  for (size_t k = 0; k < 3; ++k) CHECK(got[k].to_vector() == want[k].to_vector());
  CHECK(got[1].requires_grad());
  CHECK_FALSE(got[2].requires_grad());
  for (auto [a, b] : {std::pair{1., 0.}, {0., 1.}, {2., 3.}}) {
    auto loss = [&](const std::vector<Tensor>& y) {
      return a == 0 ? sum(y[1]) : b == 0 ? sum(y[0]) : sum(y[0] * y[1]);
    };
    auto plain = grad({loss(f(in))}, in, {}, {.allow_unused = true});
    auto again = grad({loss(recompute(f, in))}, in, {}, {.allow_unused = true});
    for (size_t i = 0; i < 2; ++i) {
      REQUIRE(again[i].defined() == plain[i].defined());
      if (plain[i].defined()) CHECK(again[i].to_vector() == plain[i].to_vector());
    }
    auto recomputed = [&](const std::vector<Tensor>& x) { return loss(recompute(f, x)); };
    GradcheckResult second = gradgradcheck(recomputed, point());
    INFO(second.message);
    CHECK(second);
  }
}

TEST_CASE("a recomputed function that uses two outputs of an op outside of it",
          "[outputs][recompute]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4}), y = leaf({5, 6});
  auto run = [&](bool recomputed, bool second_alone) {
    auto outer = pair_of(x, w);
    auto f = [&](const std::vector<Tensor>& in) {
      Tensor s = outer[1].squeeze(0) * in[0];
      return second_alone ? s : s * outer[0];
    };
    Tensor inside = recomputed ? recompute(f, {y}) : f({y});
    sum(outer[0] * 2.0 + inside + outer[1].squeeze(0)).backward();
    std::vector<std::vector<double>> g;
    for (const Tensor& t : {x, w, y}) {
      g.push_back(t.grad().to_vector());
      t.zero_grad();
    }
    return g;
  };
  for (bool second_alone : {false, true})
    CHECK(run(true, second_alone) == run(false, second_alone));
  // The same where an output of the outer op is asked for.
  for (bool recomputed : {false, true}) {
    auto outer = pair_of(x, w);
    auto f = [&](const std::vector<Tensor>& in) { return outer[1].squeeze(0) * outer[0] * in[0]; };
    Tensor inside = recomputed ? recompute(f, {y}) : f({y});
    auto g = grad({sum(inside) + sum(outer[0])}, {outer[1], y, x});
    CHECK(g[0].to_vector() == list({15, -48}));
    CHECK(g[1].to_vector() == list({3, -32}));
    // d/dx of x^3 w y + x w
    CHECK(g[2].to_vector() == list({3 * 15 + 3, 3 * 4 * -24 - 4}));
  }
}

TEST_CASE("a recomputed function that uses another output of the op whose output is asked for",
          "[outputs][recompute]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  for (bool beside : {false, true}) {
    auto outer = pair_of(x, w);
    Tensor a = outer[0], b = outer[1].squeeze(0);
    auto f = [&](const std::vector<Tensor>& in) { return in[0] * b; };
    Tensor y = sum(recompute(f, {a}));
    if (beside) y = y + sum(a);
    CHECK(grad({y}, {a})[0].to_vector() == (b + (beside ? 1.0 : 0.0)).to_vector());
  }
}

TEST_CASE("a recomputed function with several outputs refuses another run",
          "[outputs][recompute]") {
  Tensor x = leaf({1, 2});
  int calls = 0;
  auto fewer = recompute(
      [&](const std::vector<Tensor>& in) {
        std::vector<Tensor> out{exp(in[0]), sin(in[0])};
        if (++calls > 1) out.pop_back();
        return out;
      },
      {x});
  REQUIRE_THROWS_SAYING(sum(fewer[0]).backward(), GradError, "2 tensors in forward and 1 when run");
  calls = 0;
  auto other = recompute(
      [&](const std::vector<Tensor>& in) {
        return std::vector<Tensor>{exp(in[0]), ++calls > 1 ? sum(in[0]) : sin(in[0])};
      },
      {x});
  REQUIRE_THROWS_SAYING(sum(other[0]).backward(), GradError, "when run again");
}

}  // namespace
}  // namespace heed::outputs_test
