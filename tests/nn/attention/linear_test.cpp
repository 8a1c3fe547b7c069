#include <heed/autograd/ops/matmul.h>
#include <heed/nn/attention/linear.h>
#include <heed/tests/nn/attention/feature_checks.h>

using namespace heed;
using namespace heed::test;

namespace {

// tril(phi(q) phi(k)^T) v / (rowsum + eps), number by number, with phi of one row given.
using RowMap = std::function<std::vector<double>(const std::vector<double>& x, int64_t position)>;

Tensor by_hand(const Operands& in, bool causal, const RowMap& phi, double eps) {
  int64_t n = in.q.dim(2);
  std::vector<double> out;
  for (int64_t h = 0; h < in.q.dim(1); ++h)
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> a = phi(in.q[0][h][i].to_vector(), i),
                          row(static_cast<size_t>(in.v.dim(3)));
      double total = eps;
      for (int64_t j = 0; j < (causal ? i + 1 : n); ++j) {
        std::vector<double> b = phi(in.k[0][h][j].to_vector(), j), v = in.v[0][h][j].to_vector();
        double w = 0;
        for (size_t r = 0; r < a.size(); ++r) w += a[r] * b[r];
        total += w;
        for (size_t e = 0; e < v.size(); ++e) row[e] += w * v[e];
      }
      for (double x : row) out.push_back(x / total);
    }
  return Tensor::from(out, {1, in.q.dim(1), n, in.v.dim(3)});
}

RowMap each(double (*f)(double)) {
  return [f](std::vector<double> x, int64_t) {
    for (double& y : x) y = f(y);
    return x;
  };
}

std::vector<double> taylor(const std::vector<double>& x, int64_t) {
  std::vector<double> out{1};
  out.insert(out.end(), x.begin(), x.end());
  for (double a : x)
    for (double b : x) out.push_back(a * b / std::sqrt(2.0));
  return out;
}

std::vector<double> cosformer(const std::vector<double>& x, int64_t position) {
  std::vector<double> out;
  double angle = M_PI / 2 * static_cast<double>(position) / 300;
  for (double y : x) out.push_back(std::max(y, 0.0) * std::cos(angle));
  for (double y : x) out.push_back(std::max(y, 0.0) * std::sin(angle));
  return out;
}

const std::map<std::string, RowMap> kMaps{
    {"linear", each([](double x) { return x > 0 ? x + 1 : std::exp(x); })},
    {"linear:map=relu", each([](double x) { return std::max(x, 0.0); })},
    {"linear:map=relu2", each([](double x) { return x > 0 ? x * x : 0; })},
    {"linear:map=taylor2", taylor},
    {"linear:map=cosformer,max_length=300", cosformer}};

}  // namespace

TEST_CASE("linear: equals its quadratic form, number by number", "[linear]") {
  for (const auto& [spec, phi] : kMaps)
    for (bool causal : {false, true})
      for (int64_t n : {1, 6, 70}) {
        INFO(spec << " causal " << causal);
        Made a = made(spec, causal);
        Operands in = operands(*a, 1, n, n);
        REQUIRE(difference(a->forward(in.q, in.k, in.v, {}), by_hand(in, causal, phi, 1e-6)) <
                1e-12);
      }
  // exp is shifted, so that its eps is relative; without one the shift cancels.
  for (bool causal : {false, true}) {
    Made a = made("linear:map=exp,eps=0", causal);
    Operands in = operands(*a, 1, 70, 70);
    RowMap phi = each([](double x) { return std::exp(x); });
    REQUIRE(difference(a->forward(in.q, in.k, in.v, {}), by_hand(in, causal, phi, 0)) < 1e-12);
  }
}

TEST_CASE("linear: maps, causality, padding, decoding, derivatives", "[linear]") {
  auto [spec, smooth] = GENERATE(table<std::string, std::string>(
      {{"linear", ""},
       {"linear:map=relu", "linear:map=relu,eps=0.5"},
       {"linear:map=relu2", "linear:map=relu2,eps=0.5"},
       {"linear:map=exp", ""},
       {"linear:map=taylor2", ""},
       {"linear:map=cosformer,max_length=300", "linear:map=cosformer,max_length=300,eps=0.5"}}));
  check_variant(spec, smooth);
}

TEST_CASE("linear: rows of weights sum to 1, but for eps", "[linear]") {
  for (std::string spec : {"linear", "linear:map=exp", "linear:map=taylor2", "performer"})
    for (std::string eps : {"1e-6", "0"}) {
      Made a = made(spec + (spec.find(':') == std::string::npos ? ":" : ",") + "eps=" + eps, true);
      REQUIRE(a->traits().row_stochastic == (eps == "0"));
      Operands in = operands(*a, 1, 9, 9);
      AttentionCall call = with_mask(Mask::key_padding({2}, {9}));
      Tensor sums = sum(a->weights(in.q, in.k, call, upto(9)), {3})[0][0];
      Tensor want = greater(arange(9).to(DType::f64), 1.5).to(DType::f64);  // two rows see nothing
      REQUIRE(difference(sums, want) < (eps == "0" ? 1e-13 : 1e-3));
      REQUIRE(difference(sums, want) > (eps == "0" ? -1 : 0));
    }
}

TEST_CASE("linear: taylor2 is 1 + x + x^2 / 2 of the inner product", "[linear]") {
  Made a = made("linear:map=taylor2,eps=0", false, 1, 1);
  Operands in = operands(*a, 1, 1, 3);
  AttentionCall call;
  call.scale = 0.5f;
  Tensor x = matmul(in.q, in.k.transpose(2, 3)) * 0.5;
  Tensor w = x * x * 0.5 + x + 1.0;
  REQUIRE(difference(a->weights(in.q, in.k, call, {0}), w / sum(w, {3}, true)) < 1e-12);
}

TEST_CASE("linear: rows of zero features give 0, not NaN, and no gradient", "[linear]") {
  for (std::string spec : {"linear:map=relu", "linear:map=relu2"})
    for (bool causal : {false, true}) {
      Made a = made(spec, causal, 1, 1);
      Tensor q = full({1, 1, 3, 4}, -1, DType::f64), k = numbers({1, 1, 3, 4}, 1),
             v = numbers({1, 1, 3, 3}, 2);
      for (Tensor* t : {&q, &k, &v}) t->set_requires_grad(true);
      Tensor out = a->forward(q, k, v, {});
      REQUIRE(all_zero(out));
      for (const Tensor& g : grad({out}, {q, k, v}, {ones({1, 1, 3, 3}, DType::f64)}))
        REQUIRE(all_zero(g));
      REQUIRE(all_zero(a->weights(q, k, {}, {0, 1, 2})));
    }
}

TEST_CASE("linear: large keys in f32 stay finite, and later ones change no earlier row",
          "[linear]") {
  for (std::string spec : {"linear", "linear:map=exp", "linear:map=relu"}) {
    Made a = made(spec, true);
    Operands in = operands(*a, 1, 70, 70, DType::f32);
    Tensor out = a->forward(in.q, in.k, in.v, {}), k = in.k.clone();
    k.slice(2, 40, 41).fill_(1000);
    k.slice(2, 66, 67).fill_(5000);
    Tensor after = a->forward(in.q, k, in.v, {});
    REQUIRE(all_finite(after));
    REQUIRE(after.slice(2, 0, 40).to_vector() == out.slice(2, 0, 40).to_vector());
    if (spec == "linear:map=exp")  // that key alone counts from there on
      REQUIRE(difference(after.slice(2, 50, 51), in.v.slice(2, 40, 41)) < 1e-5);
    REQUIRE(all_finite(made(spec, false)->forward(in.q, k, in.v, {})));
  }
}

TEST_CASE("linear: cosformer's length is an option, not that of the call", "[linear]") {
  REQUIRE_THROWS_SAYING(made("linear:map=cosformer", true), ValueError, "needs max_length");
  Made a = made("linear:map=cosformer,max_length=8", true);
  Operands in = operands(*a, 1, 9, 9);
  REQUIRE_THROWS_SAYING(a->forward(in.q, in.k, in.v, {}), ValueError, "max_length 8 got 9");
  auto part = [](const Tensor& x, int64_t n) { return x.slice(2, 0, n); };
  Tensor whole = a->forward(part(in.q, 8), part(in.k, 8), part(in.v, 8), {});
  Tensor prefix = a->forward(part(in.q, 3), part(in.k, 3), part(in.v, 3), {});
  REQUIRE(difference(part(whole, 3), prefix) < 1e-13);
  auto state = a->new_state(1, 0, DType::f64, kCpu);
  a->absorb(part(in.k, 8), part(in.v, 8), {}, *state);
  REQUIRE_THROWS_SAYING(a->absorb(part(in.k, 1), part(in.v, 1), {}, *state), ValueError, "got 9");
  REQUIRE_THROWS_SAYING(a->forward(part(in.q, 2), part(in.k, 3), part(in.v, 3), {}), ValueError,
                        "cosformer weighs by distance");
}

TEST_CASE("linear: bad options are named", "[linear]") {
  REQUIRE_THROWS_SAYING(made("linear:map=tanh", false), ValueError,
                        "elu, relu, relu2, exp, taylor2");
  REQUIRE_THROWS_SAYING(made("linear:eps=-1", false), ValueError, "eps");
  REQUIRE_THROWS_SAYING(made("linear:size=1", false), ValueError, "unknown option");
}

TEST_CASE("linear: cost counts the products of both forms", "[linear]") {
  nn::AttentionShape shape{.batch = 2,
                           .heads = 4,
                           .kv_heads = 2,
                           .queries = 100,
                           .keys = 100,
                           .head_dim = 4,
                           .value_dim = 3};
  Made whole = made("linear", false, 4, 2), causal = made("linear", true, 4, 2);
  REQUIRE(whole->cost(shape, nn::Pass::forward).flops == 2 * 2 * 4 * 4 * (4 * 100 + 2 * 100));
  // Chunks of 64 and 36: pairs, the second chunk's queries with the state, the first one's keys.
  int64_t inside = 2 * (64 * 64 + 36 * 36) * (4 + 4) * 4;
  int64_t between = 2 * 4 * 4 * (36 * 4 + 64 * 2);
  REQUIRE(causal->cost(shape, nn::Pass::forward).flops == 2 * (inside + between));
  REQUIRE(whole->cost(shape, nn::Pass::forward).state_bytes == 2 * 2 * 4 * 4 * 4);
  REQUIRE(whole->cost(shape, nn::Pass::forward).state_bytes ==
          whole->new_state(2, 0, DType::f32, kCpu)->bytes());
}

TEST_CASE("linear, performer: what the values have in common costs their gradients no digits",
          "[linear][performer]") {
  for (const char* spec :
       {"linear", "linear:map=cosformer,max_length=300", "performer:features=16"})
    for (bool causal : {false, true}) {
      INFO(spec << " causal " << causal);
      Made a = made(spec, causal);
      Operands in = operands(*a, 2, 20, 20, DType::f32);
      in.v = in.v + 100.0;
      auto gradients = [&](DType dtype) {
        auto leaf = [&](const Tensor& x) { return x.detach().to(dtype).set_requires_grad(true); };
        Tensor q = leaf(in.q), k = leaf(in.k), v = leaf(in.v);
        Tensor out = a->forward(q, k, v, with_mask(Mask::padding({20, 9})));
        return grad({out}, {q, k, v}, {numbers(out.shape(), 9, DType::f32).to(dtype)});
      };
      std::vector<Tensor> rough = gradients(DType::f32), fine = gradients(DType::f64);
      for (size_t i = 0; i < 3; ++i) REQUIRE(difference(rough[i].to(DType::f64), fine[i]) < 2e-5);
    }
  // A single key has all the weight, whatever its score.
  for (const char* spec : {"linear:eps=0", "performer:features=16,eps=0"}) {
    Made a = made(spec, true);
    Operands in = operands(*a, 1, 1, 1, DType::f32);
    Tensor q = in.q.detach().set_requires_grad(true), k = in.k.detach().set_requires_grad(true);
    Tensor out = a->forward(q, k, in.v, {});
    REQUIRE(difference(out, in.v) == 0);
    for (const Tensor& g : grad({out}, {q, k}, {numbers(out.shape(), 9, DType::f32)}))
      REQUIRE(difference(g, zeros(g.shape())) == 0);
  }
}
