#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/nn/attention/efficient.h>
#include <heed/tests/nn/attention/feature_checks.h>

using namespace heed;
using namespace heed::test;

namespace {

// The definition, number by number: one head, causal or not.
Tensor by_hand(const Tensor& q, const Tensor& k, const Tensor& v, bool causal) {
  int64_t n = q.dim(0), d = q.dim(1), e = v.dim(1);
  std::vector<double> a = softmax(q, 1).to_vector(), b = k.to_vector(), c = v.to_vector(), out;
  auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t i = 0; i < n; ++i) {
    std::vector<double> row(at(e));
    for (int64_t f = 0; f < d; ++f) {
      double most = -1e300, total = 0;
      int64_t last = causal ? i + 1 : n;
      for (int64_t j = 0; j < last; ++j) most = std::max(most, b[at(j * d + f)]);
      for (int64_t j = 0; j < last; ++j) total += std::exp(b[at(j * d + f)] - most);
      for (int64_t j = 0; j < last; ++j)
        for (int64_t x = 0; x < e; ++x)
          row[at(x)] +=
              a[at(i * d + f)] * std::exp(b[at(j * d + f)] - most) / total * c[at(j * e + x)];
    }
    out.insert(out.end(), row.begin(), row.end());
  }
  return Tensor::from(out, {1, 1, n, e});
}

}  // namespace

TEST_CASE("efficient: equals its definition, number by number", "[efficient]") {
  for (bool causal : {false, true})
    for (int64_t n : {1, 2, 7, 64, 65, 150})
      for (double size : {1.0, 200.0}) {
        INFO("causal " << causal << " n " << n << " size " << size);
        Made a = made("efficient", causal, 1, 1);
        Operands in = operands(*a, 1, n, n);
        Tensor k = in.k * size;
        REQUIRE(difference(a->forward(in.q, k, in.v, {}),
                           by_hand(in.q[0][0], k[0][0], in.v[0][0], causal)) < 1e-12);
      }
}

TEST_CASE("efficient: maps, causality, padding, decoding, derivatives", "[efficient]") {
  check_variant(GENERATE(as<std::string>{}, "efficient", "efficient:norm=scaling"));
}

TEST_CASE("efficient: closed forms", "[efficient]") {
  for (bool causal : {false, true}) {
    Made a = made("efficient", causal, 1, 1);
    Operands in = operands(*a, 2, 70, 70);
    Tensor one = ones({2, 1, 70, 3}, DType::f64);
    REQUIRE(difference(a->forward(in.q, in.k, one, {}), one) < 1e-13);
    auto first = [](const Tensor& x) { return x.slice(2, 0, 1); };
    REQUIRE(difference(a->forward(first(in.q), first(in.k), first(in.v), {}), first(in.v)) < 1e-14);
  }
  // Scaling is the dot-product form of the non-local block: q k^T v / n, n the valid keys.
  Made s = made("efficient:norm=scaling", false, 1, 1),
       c = made("efficient:norm=scaling", true, 1, 1);
  Operands in = operands(*s, 1, 16, 16);
  AttentionCall ten = with_mask(Mask::key_padding({10}));
  auto valid = [](const Tensor& x) { return x.slice(2, 0, 10); };
  Tensor want = matmul(matmul(in.q, valid(in.k).transpose(2, 3)), valid(in.v)) / 10.0;
  REQUIRE(difference(s->forward(in.q, in.k, in.v, ten), want) < 1e-13);
  Tensor causal = c->forward(in.q, in.k, in.v, ten);
  REQUIRE(difference(causal.slice(2, 9, 16), want.slice(2, 9, 16)) < 1e-13);
  REQUIRE(difference(causal[0][0][0], in.v[0][0][0] * sum(in.q[0][0][0] * in.k[0][0][0]).item()) <
          1e-13);
  AttentionCall scaled = ten;
  scaled.scale = -0.5f;
  REQUIRE(difference(s->forward(in.q, in.k, in.v, scaled), want * -0.5) < 1e-13);
}

TEST_CASE("efficient: causal stays exact in f32 whatever the keys' size", "[efficient]") {
  Made a = made("efficient", true, 1, 1);
  Operands in = operands(*a, 1, 200, 200);
  for (double size : {50.0, 3000.0}) {
    // Growing and falling keys: a maximum over a later key would make the earlier ones vanish.
    Tensor ramp = arange(200).to(DType::f64).reshape({1, 1, 200, 1}) * (size / 200);
    for (double sign : {1.0, -1.0}) {
      Tensor k = in.k + ramp * sign;
      Tensor want = a->forward(in.q, k, in.v, {});
      Tensor k32 = k.to(DType::f32), q32 = in.q.to(DType::f32), v32 = in.v.to(DType::f32);
      Tensor same = a->forward(q32.to(DType::f64), k32.to(DType::f64), v32.to(DType::f64), {});
      REQUIRE(difference(a->forward(q32, k32, v32, {}).to(DType::f64), same) < 1e-5);
      REQUIRE(difference(same, by_hand(q32[0][0].to(DType::f64), k32[0][0].to(DType::f64),
                                       v32[0][0].to(DType::f64), true)) < 1e-12);
      REQUIRE(difference(want.slice(2, 0, 30), a->forward(in.q.slice(2, 0, 30), k.slice(2, 0, 30),
                                                          in.v.slice(2, 0, 30), {})) < 1e-13);
    }
  }
}

TEST_CASE("efficient: the state holds D (E + 2) numbers a head", "[efficient]") {
  Made a = made("efficient", true, 4, 2, 8, 5),
       s = made("efficient:norm=scaling", true, 4, 2, 8, 5);
  nn::AttentionShape shape{.batch = 3,
                           .heads = 4,
                           .kv_heads = 2,
                           .queries = 64,
                           .keys = 64,
                           .head_dim = 8,
                           .value_dim = 5};
  REQUIRE(a->new_state(3, 100, DType::f32, kCpu)->bytes() == 3 * 2 * 8 * 7 * 4);
  REQUIRE(a->cost(shape, nn::Pass::forward).state_bytes ==
          a->new_state(3, 100, DType::f32, kCpu)->bytes());
  REQUIRE(s->cost(shape, nn::Pass::forward).state_bytes ==
          s->new_state(3, 100, DType::f32, kCpu)->bytes());
  Made whole = made("efficient", false, 4, 2, 8, 5);
  REQUIRE(whole->cost(shape, nn::Pass::forward).flops == 3 * 2 * 8 * 5 * 64 * (4 + 2));
  REQUIRE(whole->cost(shape, nn::Pass::backward).flops == 2 * 3 * 2 * 8 * 5 * 64 * (4 + 2));
}

TEST_CASE("efficient: bad options are named", "[efficient]") {
  REQUIRE_THROWS_SAYING(made("efficient:norm=l2", false), ValueError, "softmax, scaling");
  REQUIRE_THROWS_SAYING(made("efficient:heads=2", false), ValueError, "unknown option");
}
