// Ops with several outputs: each has its own gradient, hooks, shape and saved value.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/checkpoint.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/core/memory.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

int vjp_runs = 0;

// A primitive: x w, x^2 [1, ..], and whether x > w, as integers.
struct Pair {
  static constexpr const char* name = "pair";
  static constexpr unsigned saves = 0b11;
  std::array<Array, 3> forward(Inputs in) {
    NoGrad guard;
    Tensor x(in[0]), w(in[1]);
    return {(x * w).array(), square(x).unsqueeze(0).array(),
            cast(greater(x, w), DType::i64).array()};
  }
  void vjp(Vjp& v) {
    ++vjp_runs;
    Tensor x = v.input(0), w = v.input(1), product = v.cotangent(0), square = v.cotangent(1);
    REQUIRE(v.outputs() == 3);
    REQUIRE((product.defined() || square.defined()));
    REQUIRE_FALSE(v.cotangent(2).defined());
    if (product.defined()) {
      v.add(0, product * w);
      v.add(1, product * x);
    }
    if (square.defined()) v.add(0, square.squeeze(0) * x * 2.0);
  }
};

// A fused op: exp(x) and exp(x) w. `kWrong`: a mutant that confuses the cotangents.
template <bool kWrong>
struct FusedPair {
  static constexpr const char* name = "fused_pair";
  static constexpr unsigned saves = 0b11 | output_bit(0) | output_bit(1);
  std::array<Array, 2> forward(Inputs in) {
    NoGrad guard;
    Tensor e = exp(Tensor(in[0]));
    return {e.array(), (e * Tensor(in[1])).array()};
  }
  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [](const std::vector<Tensor>& in) {
        return std::array{exp(in[0]), exp(in[0]) * in[1]};
      });
    Tensor first = v.cotangent_or_zeros(kWrong), second = v.cotangent_or_zeros(!kWrong);
    v.add(0, first * v.output(0) + second * v.output(1));
    v.add(1, second * v.output(0));
  }
};

// Asks for what it did not save.
struct Forgetful {
  static constexpr const char* name = "forgetful";
  static constexpr unsigned saves = kOutput;
  std::array<Array, 2> forward(Inputs in) { return {in[0], in[0]}; }
  void vjp(Vjp& v) { v.add(0, v.output(1)); }
};

// Its second output is a constant that may be -inf, its gradient is NaN.
struct Faulty {
  static constexpr const char* name = "faulty";
  static constexpr unsigned saves = 0;
  static constexpr unsigned minus_inf = output_bit(1);
  double second;
  std::array<Array, 2> forward(Inputs in) { return {in[0], full({1, 2}, second).array()}; }
  void vjp(Vjp& v) { v.add(0, full({2}, NAN)); }
};

// Makes its second output only where there will be a backward.
struct Half {
  static constexpr const char* name = "half";
  static constexpr unsigned saves = output_bit(1);
  std::array<Array, 2> forward(Inputs in) { return {in[0], in.recorded() ? in[0] : Array()}; }
  void vjp(Vjp& v) { v.add(0, v.cotangent(0)); }
};

std::array<Tensor, 3> pair_of(const Tensor& x, const Tensor& w) { return apply(Pair{}, x, w); }
std::array<Tensor, 2> fused_of(const Tensor& x, const Tensor& w) {
  return apply(FusedPair<false>{}, x, w);
}

Tensor leaf(std::initializer_list<float> values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}).set_requires_grad(true);
}
std::vector<double> list(std::initializer_list<double> values) { return values; }

std::vector<Tensor> point() {
  return {Tensor(random_normal({2, 3}, 0, 1, {4, 0}, DType::f64)).set_requires_grad(true),
          Tensor(random_normal({2, 3}, 0, 1, {5, 0}, DType::f64)).set_requires_grad(true)};
}

template <class Error, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

}  // namespace

TEST_CASE("several outputs: each alone, and both", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto gradients = [&](double first, double second) {
    auto [product, square, places] = pair_of(x, w);
    Tensor loss = Tensor::scalar(0);
    if (first != 0) loss = loss + sum(product) * first;
    if (second != 0) loss = loss + sum(square) * second;
    vjp_runs = 0;
    std::vector<Tensor> g = grad({loss}, {x}, {});
    REQUIRE(vjp_runs == 1);
    return g[0].to_vector();
  };
  CHECK(gradients(1, 0) == list({3, -4}));
  CHECK(gradients(0, 1) == list({2, 4}));
  CHECK(gradients(2, 3) == list({12, 4}));
  BackwardOptions allow;
  allow.allow_unused = true;  // nothing of w in the square
  CHECK_FALSE(grad({sum(pair_of(x, w)[1])}, {w}, {}, allow)[0].defined());
}

TEST_CASE("several outputs: the values, and who requires a gradient", "[outputs]") {
  Tensor x = leaf({1, 2}), w = Tensor::from({3, -4}, {2});
  auto [product, square, places] = pair_of(x, w);
  CHECK(product.to_vector() == list({3, -8}));
  CHECK(square.to_vector() == list({1, 4}));
  CHECK(places.to_vector() == list({0, 1}));
  CHECK(square.shape() == Shape{1, 2});
  CHECK(product.requires_grad());
  CHECK(square.requires_grad());
  CHECK(product.node() == square.node());
  CHECK(product.output() == 0);
  CHECK(square.output() == 1);
  CHECK_FALSE(places.requires_grad());  // integers take no gradient
  CHECK_FALSE(places.node());
  for (const Tensor& y : pair_of(x.detach(), w)) CHECK_FALSE(y.requires_grad());
  NoGrad guard;
  for (const Tensor& y : pair_of(x, w)) CHECK_FALSE(y.requires_grad());
}

TEST_CASE("several outputs: one backward from both", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto [product, square, places] = pair_of(x, w);
  vjp_runs = 0;
  backward({product, square}, {Tensor::from({1, 10}, {2}), Tensor::from({2, 20}, {1, 2})});
  CHECK(vjp_runs == 1);
  CHECK(x.grad().to_vector() == list({3 + 4, -40 + 80}));
  CHECK(w.grad().to_vector() == list({1, 20}));
  REQUIRE_THROWS_SAYING(backward({square}, {ones({1, 2})}), GradError, "retain_graph");
}

TEST_CASE("several outputs: retain_graph keeps both", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto [e, product] = fused_of(x, w);
  BackwardOptions retain;
  retain.retain_graph = true;
  Tensor one = grad({sum(e)}, {x}, {}, retain)[0], two = grad({sum(product)}, {x}, {}, retain)[0];
  CHECK(one.to_vector() == e.to_vector());
  CHECK(two.to_vector() == product.to_vector());
  CHECK(grad({sum(e), sum(product)}, {x})[0].to_vector() == (one + two).to_vector());
}

TEST_CASE("several outputs: a hook belongs to its output", "[outputs]") {
  static std::vector<double> seen;
  seen.clear();
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto [product, square, places] = pair_of(x, w);
  square.register_hook(
      [](const Tensor& g, void*) {
        CHECK(g.shape() == Shape{1, 2});
        seen = g.to_vector();
        return g * 100.0;
      },
      nullptr);
  (sum(product) + sum(square) * 2.0 + sum(square)).backward();
  CHECK(seen == list({3, 3}));
  CHECK(x.grad().to_vector() == list({3 + 600, -4 + 1200}));
  CHECK(w.grad().to_vector() == list({1, 2}));
}

TEST_CASE("several outputs: the gradient by a second output", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto [product, square, places] = pair_of(x, w);
  Tensor y = sum(product * product.detach()) + sum(square * square);
  BackwardOptions retain;
  retain.retain_graph = true;
  vjp_runs = 0;
  CHECK(grad({y}, {square}, {}, retain)[0].to_vector() == list({2, 8}));
  CHECK(grad({y}, {product}, {}, retain)[0].to_vector() == list({3, -8}));
  CHECK(vjp_runs == 0);  // nothing behind the op is asked for
  auto all = grad({y}, {square, x, product, square}, {}, retain);
  CHECK(vjp_runs == 1);
  CHECK(all[0].to_vector() == list({2, 8}));
  CHECK(all[1].to_vector() == list({9 + 4, 32 + 32}));
  CHECK(all[2].to_vector() == list({3, -8}));
  CHECK(all[3].to_vector() == list({2, 8}));
  BackwardOptions allow = retain;
  allow.allow_unused = true;
  CHECK_FALSE(grad({sum(product)}, {square}, {}, allow)[0].defined());
  // An output is itself differentiated: by itself it is 1, by its neighbour nothing.
  CHECK(grad({sum(square)}, {square}, {}, retain)[0].to_vector() == list({1, 1}));
}

TEST_CASE("several outputs: kernels add into the slot of their output", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  auto [product, square, places] = pair_of(x, w);
  Tensor y = sum(square.slice(1, 0, 1)) * 3.0 + sum(square.slice(1, 1, 2)) * 5.0 +
             sum(product.slice(0, 0, 1)) * 7.0 + sum(square.slice(1, 0, 1)) * 10.0;
  auto g = grad({y}, {product, square, x});
  CHECK(g[0].to_vector() == list({7, 0}));
  CHECK(g[1].to_vector() == list({13, 5}));
  CHECK(g[2].to_vector() == list({21 + 26, 20}));
}

TEST_CASE("several outputs: gradients of outputs that nobody asked for leave nothing behind",
          "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4}), other = leaf({5, 6});
  Tensor product = pair_of(x, w)[0];
  Tensor unrelated = other * 2.0;
  auto [third, fourth, places] = pair_of(other, w);
  BackwardOptions retain;
  retain.retain_graph = true;
  grad({product, unrelated, fourth}, {x}, {ones({2}), ones({2}), ones({1, 2})}, retain);
  backward({unrelated, fourth}, {ones({2}), ones({1, 2})});
  CHECK(other.grad().to_vector() == list({2 + 10, 2 + 12}));
}

TEST_CASE("several outputs: first and second derivatives", "[outputs]") {
  auto pair_sum = [](double a, double b) {
    return [=](const std::vector<Tensor>& in) {
      auto [product, square, places] = pair_of(in[0], in[1]);
      if (a == 0) return square * square;
      return b == 0 ? product * product : product * a + square.squeeze(0) * product * b;
    };
  };
  auto fused_sum = [](double a, double b) {
    return [=](const std::vector<Tensor>& in) {
      auto [e, product] = fused_of(in[0], in[1]);
      if (a == 0) return product * product;
      return b == 0 ? e * e : e * a + product * e * b;
    };
  };
  for (auto [a, b] : {std::pair{1., 0.}, {0., 1.}, {2., 3.}}) {
    INFO(a << " " << b);
    std::vector<CheckedFunction> functions{pair_sum(a, b), fused_sum(a, b)};
    for (const CheckedFunction& f : functions) {
      GradcheckResult first = gradcheck(f, point()), second = gradgradcheck(f, point());
      INFO(first.message << second.message);
      CHECK(first);
      CHECK(second);
    }
  }
}

TEST_CASE("several outputs: gradcheck refuses mutants", "[outputs]") {
  auto f = [](const std::vector<Tensor>& in) {
    auto [e, product] = fused_of(in[0], in[1]);
    return e * 2.0 + product;
  };
  REQUIRE(gradcheck(f, point()));
  CHECK_FALSE(gradcheck(
      [](const std::vector<Tensor>& in) {
        auto [e, product] = apply(FusedPair<true>{}, in[0], in[1]);
        return e * 2.0 + product;
      },
      point()));
  struct Falsify {
    explicit Falsify(CotangentHook hook) { set_cotangent_hook(hook); }
    ~Falsify() { set_cotangent_hook(nullptr); }
  };
  static int applied;
  applied = 0;
  Falsify falsify([](const char* op, int input, const Tensor& g) {
    bool hit = std::string(op) == "fused_pair" && input == 1;
    applied += hit;
    return hit ? g * 1.01 : g;
  });
  CHECK_FALSE(gradcheck(f, point()));
  CHECK(applied > 0);
}

TEST_CASE("several outputs: a saved output has a version of its own", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  for (int changed : {0, 1}) {
    auto outputs = fused_of(x, w);
    {
      NoGrad guard;
      outputs[static_cast<size_t>(changed)].fill_(1);
    }
    REQUIRE_THROWS_SAYING(sum(outputs[0]).backward(), GradError, "'fused_pair' saved was changed");
  }
  auto [product, square, places] = pair_of(x, w);
  NoGrad guard;
  square.fill_(1);  // not saved: nobody minds
  grad({product}, {x}, {ones({2})});
}

TEST_CASE("several outputs: what was not saved is named", "[outputs]") {
  Tensor x = leaf({1, 2});
  REQUIRE_THROWS_SAYING(sum(apply(Forgetful{}, x)[1]).backward(), GradError,
                        "'forgetful' did not save output 1");
}

TEST_CASE("several outputs: anomaly mode names the output", "[outputs]") {
  Tensor x = leaf({1, 2});
  AnomalyMode guard;
  std::string said = message_of<NumericError>([&] { apply(Faulty{NAN}, x); });
  CHECK_THAT(said, ContainsSubstring("'faulty' gave nan at [0, 0] of [1, 2] f32 in output 1"));
  auto outputs = apply(Faulty{-INFINITY}, x);  // it says that it may
  said = message_of<NumericError>([&] { sum(outputs[1]).backward(); });
  CHECK_THAT(said, ContainsSubstring("gradient of 'faulty' by input 0"));
  CHECK_THAT(said, ContainsSubstring("its output was [2] f32, [1, 2] f32"));
}

TEST_CASE("several outputs: an output may be left undefined", "[outputs]") {
  Tensor x = leaf({1, 2});
  CHECK(apply(Half{}, x)[1].defined());
  CHECK_FALSE(apply(Half{}, x.detach())[1].defined());
}

TEST_CASE("several outputs: the graph dies without recursion", "[outputs]") {
  Tensor x = leaf({1}), w = leaf({1}), y = x;
  for (int i = 0; i < 50000; ++i) y = pair_of(y, w)[i % 2].reshape({1});
  y = Tensor();
  SUCCEED();
}

TEST_CASE("a checkpoint with two outputs", "[outputs][checkpoint]") {
  auto in = point();
  auto f = [](const std::vector<Tensor>& a) {
    auto [e, product] = fused_of(a[0], tanh(a[1]));
    return std::vector<Tensor>{e, sin(product), cast(greater(e, product), DType::i64)};
  };
  auto want = f(in), got = checkpoint(f, in);
  REQUIRE(got.size() == 3);
  for (size_t k = 0; k < 3; ++k) CHECK(got[k].to_vector() == want[k].to_vector());
  CHECK(got[1].requires_grad());
  CHECK_FALSE(got[2].requires_grad());
  for (auto [a, b] : {std::pair{1., 0.}, {0., 1.}, {2., 3.}}) {
    auto loss = [&](const std::vector<Tensor>& y) {
      return a == 0 ? sum(y[1]) : b == 0 ? sum(y[0]) : sum(y[0] * y[1]);
    };
    auto plain = grad({loss(f(in))}, in, {}, {.allow_unused = true});
    auto again = grad({loss(checkpoint(f, in))}, in, {}, {.allow_unused = true});
    for (size_t i = 0; i < 2; ++i) {
      REQUIRE(again[i].defined() == plain[i].defined());
      if (plain[i].defined()) CHECK(again[i].to_vector() == plain[i].to_vector());
    }
    auto checked = [&](const std::vector<Tensor>& x) { return loss(checkpoint(f, x)); };
    GradcheckResult second = gradgradcheck(checked, point());
    INFO(second.message);
    CHECK(second);
  }
}

TEST_CASE("a checkpoint that uses two outputs of an op outside of it", "[outputs][checkpoint]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4}), y = leaf({5, 6});
  auto run = [&](bool checked, bool second_alone) {
    auto outer = pair_of(x, w);
    auto f = [&](const std::vector<Tensor>& in) {
      Tensor s = outer[1].squeeze(0) * in[0];
      return second_alone ? s : s * outer[0];
    };
    Tensor inside = checked ? checkpoint(f, {y}) : f({y});
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
  for (bool checked : {false, true}) {
    auto outer = pair_of(x, w);
    auto f = [&](const std::vector<Tensor>& in) { return outer[1].squeeze(0) * outer[0] * in[0]; };
    Tensor inside = checked ? checkpoint(f, {y}) : f({y});
    auto g = grad({sum(inside) + sum(outer[0])}, {outer[1], y, x});
    CHECK(g[0].to_vector() == list({15, -48}));
    CHECK(g[1].to_vector() == list({3, -32}));
    // d/dx of x^3 w y + x w
    CHECK(g[2].to_vector() == list({3 * 15 + 3, 3 * 4 * -24 - 4}));
  }
}

TEST_CASE("a checkpoint with several outputs refuses another run", "[outputs][checkpoint]") {
  Tensor x = leaf({1, 2});
  int calls = 0;
  auto fewer = checkpoint(
      [&](const std::vector<Tensor>& in) {
        std::vector<Tensor> out{exp(in[0]), sin(in[0])};
        if (++calls > 1) out.pop_back();
        return out;
      },
      {x});
  REQUIRE_THROWS_SAYING(sum(fewer[0]).backward(), GradError, "2 tensors in forward and 1 when run");
  calls = 0;
  auto other = checkpoint(
      [&](const std::vector<Tensor>& in) {
        return std::vector<Tensor>{exp(in[0]), ++calls > 1 ? sum(in[0]) : sin(in[0])};
      },
      {x});
  REQUIRE_THROWS_SAYING(sum(other[0]).backward(), GradError, "when run again");
}
