// Ops with several outputs: each has its own gradient, hooks and shape.
#include <utility>

#include <heed/tests/autograd/several_outputs.h>

namespace heed::outputs_test {
namespace {

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

TEST_CASE("several outputs: kernels add into the gradient of their output", "[outputs]") {
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

TEST_CASE("several outputs: the graph dies without recursion", "[outputs]") {
  Tensor x = leaf({1}), w = leaf({1}), y = x;
  for (int i = 0; i < 50000; ++i) y = pair_of(y, w)[i % 2].reshape({1});
  y = Tensor();
  SUCCEED();
}

}  // namespace
}  // namespace heed::outputs_test
