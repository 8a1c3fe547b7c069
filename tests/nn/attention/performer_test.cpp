#include <heed/autograd/ops/matmul.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/performer.h>
#include <heed/tests/nn/attention/feature_checks.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;
using nn::PerformerAttention;

namespace {

PerformerAttention& performer(const Made& a) { return dynamic_cast<PerformerAttention&>(*a); }

// phi(x) . phi(y) for one pair of vectors [1, D] and fresh rows for each draw.
std::vector<double> estimates(const Made& a, const Tensor& x, const Tensor& y, int64_t draws) {
  std::vector<double> out;
  PerformerAttention& p = performer(a);
  bool orthogonal = a->type_name().find("orthogonal=false") == std::string::npos;
  for (int64_t i = 0; i < draws; ++i) {
    p.set_projection(nn::random_projection(p.projection().dim(0), p.projection().dim(1), orthogonal,
                                           {5, static_cast<uint64_t>(i) * 4096}));
    out.push_back(sum(p.raw_features(x, 1.0f) * p.raw_features(y, 1.0f)).item());
  }
  return out;
}

struct Moments {
  double mean = 0, variance = 0;
};
Moments moments(const std::vector<double>& x) {
  Moments m;
  for (double v : x) m.mean += v / static_cast<double>(x.size());
  for (double v : x) m.variance += (v - m.mean) * (v - m.mean) / static_cast<double>(x.size() - 1);
  return m;
}

}  // namespace

TEST_CASE("performer: maps, causality, padding, decoding, derivatives", "[performer]") {
  check_variant(GENERATE(as<std::string>{}, "performer:features=16",
                         "performer:features=6,kind=hyperbolic,orthogonal=false"));
}

TEST_CASE("performer: features estimate exp without bias, with the variance known in closed form",
          "[performer]") {
  // |x + y|^2 = 0.8: the estimates' tails are light enough to measure.
  Tensor x = Tensor::from(std::vector<double>{0.3, -0.2, 0.5, 0.1}, {1, 4}),
         y = Tensor::from(std::vector<double>{0.1, 0.4, 0.3, -0.1}, {1, 4});
  double dot = sum(x * y).item(), z = sum(square(x + y)).item(), kernel = std::exp(dot);
  double plus = std::exp(z) * kernel * kernel * (1 - std::exp(-z));  // of one row
  int64_t draws = 4000, m = 8;
  auto spec = [&](const char* kind, bool orthogonal) {
    return str("performer:features=", m, ",kind=", kind,
               ",orthogonal=", orthogonal ? "true" : "false");
  };
  double independent = 0;
  for (bool orthogonal : {false, true})
    for (std::string kind : {"positive", "hyperbolic"}) {
      INFO(kind << " orthogonal " << orthogonal);
      Moments got =
          moments(estimates(made(spec(kind.c_str(), orthogonal), false, 1, 1), x, y, draws));
      double error = std::sqrt(got.variance / static_cast<double>(draws));
      REQUIRE(std::fabs(got.mean - kernel) < 4 * error);
      double want =
          (kind == "positive" ? 1 : (1 - std::exp(-z)) / 2) * plus / static_cast<double>(m);
      if (!orthogonal) REQUIRE(std::fabs(got.variance / want - 1) < 0.2);
      else REQUIRE(got.variance < want * 1.05);
      if (kind == "positive" && !orthogonal) independent = got.variance;
      if (kind == "positive" && orthogonal) REQUIRE(got.variance < independent);
    }
}

TEST_CASE("performer: the error falls as one over the root of the number of features",
          "[performer]") {
  nn::AttentionConfig c{.heads = 1, .kv_heads = 1, .head_dim = 8, .value_dim = 8};
  Tensor q = numbers({1, 1, 40, 8}, 1) * 0.5, k = numbers({1, 1, 40, 8}, 2) * 0.5,
         v = numbers({1, 1, 40, 8}, 3);
  Tensor exact = nn::DenseAttention(c).forward(q, k, v, {});
  std::vector<double> x, y;
  for (int64_t m : {32, 128, 512, 2048}) {
    double squares = 0;
    for (uint64_t seed = 0; seed < 12; ++seed) {
      Made a = nn::make_attention(str("performer:orthogonal=false,features=", m), c);
      performer(a).set_projection(nn::random_projection(m, 8, false, {seed, 0}));
      squares += sum(square(a->forward(q, k, v, {}) - exact)).item();
    }
    x.push_back(std::log(static_cast<double>(m)));
    y.push_back(std::log(std::sqrt(squares)));
  }
  double mx = 0, my = 0, sxy = 0, sxx = 0;
  for (size_t i = 0; i < x.size(); ++i) mx += x[i] / 4, my += y[i] / 4;
  for (size_t i = 0; i < x.size(); ++i)
    sxy += (x[i] - mx) * (y[i] - my), sxx += (x[i] - mx) * (x[i] - mx);
  INFO("slope " << sxy / sxx);
  REQUIRE(sxy / sxx > -0.6);
  REQUIRE(sxy / sxx < -0.4);
}

TEST_CASE("performer: rows are orthogonal in blocks, with the norms and signs of Gaussian ones",
          "[performer]") {
  int64_t d = 6;
  Tensor w = nn::random_projection(15, d, true, {3, 0}).to(DType::f64);
  REQUIRE(w.shape() == Shape{15, d});
  for (int64_t block : {0, 6, 12}) {
    Tensor rows = w.slice(0, block, std::min<int64_t>(block + d, 15));
    Tensor gram = matmul(rows, rows.transpose(0, 1));
    Tensor off = gram * (1.0 - eye(rows.dim(0), DType::f64));
    REQUIRE(difference(off, zeros(off.shape(), DType::f64)) < 1e-4);
  }
  // Every entry is N(0, 1): a QR whose signs are not fixed gives the first entries one sign.
  double first = 0, squares = 0;
  int64_t draws = 2000;
  for (uint64_t i = 0; i < static_cast<uint64_t>(draws); ++i) {
    Tensor one = nn::random_projection(d, d, true, {4, i * 1024}).to(DType::f64);
    first += one[0][0].item() + one[5][5].item();
    squares += sum(square(one)).item() / static_cast<double>(d * d);
  }
  double n = static_cast<double>(draws);
  REQUIRE(std::fabs(first / n) < 4 * std::sqrt(2 / n));
  REQUIRE(std::fabs(squares / n - 1) < 0.03);
}

TEST_CASE("performer: a later key along a projection row changes no earlier row in f32",
          "[performer]") {
  Made a = made("performer:features=16", true, 1, 1, 8, 4);
  Operands in = operands(*a, 1, 130, 130, DType::f32);
  Tensor out = a->forward(in.q, in.k, in.v, {});
  for (int64_t at : {20, 63, 64, 100, 129})
    for (int64_t row : {0, 7})
      for (double size : {1.0, 10.0}) {
        Tensor k = in.k.clone(), v = in.v.clone();
        k[0][0][at].copy_(performer(a).projection()[row] * (size * std::sqrt(std::sqrt(8.0))));
        v[0][0][at].fill_(100);
        Tensor after = a->forward(in.q, k, v, {});
        REQUIRE(all_finite(after));
        REQUIRE(after.slice(2, 0, at).to_vector() == out.slice(2, 0, at).to_vector());
      }
}

TEST_CASE("performer: large norms stay finite in f32, and the diagnosis tells", "[performer]") {
  Made a = made("performer:features=32", GENERATE(false, true), 1, 1, 8, 4);
  Operands in = operands(*a, 1, 70, 70, DType::f32);
  Tensor large = in.q * 40.0;
  Tensor out = a->forward(large, in.k * 40.0, in.v, {});
  REQUIRE(all_finite(out));
  nn::FeatureDiagnosis good = performer(a).diagnose(in.q * 0.1), bad = performer(a).diagnose(large);
  REQUIRE(good.below_eps == 0);
  REQUIRE(good.effective_features > 25);
  REQUIRE(bad.below_eps > 0.5);
  REQUIRE(bad.effective_features < 3);
}

TEST_CASE("performer: rows are drawn at construction and by on_step, never in forward",
          "[performer]") {
  Made a = made("performer:features=16,redraw=10", true);
  Operands in = operands(*a, 1, 5, 5);
  std::vector<double> before = performer(a).projection().to_vector();
  Tensor out = a->forward(in.q, in.k, in.v, {});
  REQUIRE(a->forward(in.q, in.k, in.v, {}).to_vector() == out.to_vector());
  for (int64_t step : {0, 1, 9, 11}) a->on_step(step, {1, 2});
  REQUIRE(performer(a).projection().to_vector() == before);
  a->on_step(20, {1, 2});
  std::vector<double> drawn = performer(a).projection().to_vector();
  REQUIRE(drawn != before);
  a->on_step(30, {1, 2});
  REQUIRE(performer(a).projection().to_vector() == drawn);  // the key decides
  Made never = made("performer:features=16,redraw=0", true);
  never->on_step(1000, {1, 2});
  REQUIRE(performer(never).projection().to_vector() == before);

  Made other = nn::make_attention("performer:features=16", a->config());
  REQUIRE(performer(other).projection().to_vector() != drawn);
  other->load_state_dict(a->state_dict());
  REQUIRE(other->forward(in.q, in.k, in.v, {}).to_vector() ==
          a->forward(in.q, in.k, in.v, {}).to_vector());
  REQUIRE(a->parameters().empty());
  REQUIRE(a->named_buffers().size() == 1);
}

TEST_CASE("performer: scale is that of the kernel", "[performer]") {
  Made a = made("performer:features=2048", false, 1, 1);
  Operands in = operands(*a, 1, 6, 6, DType::f64, 0.35);
  for (float scale : {1.0f, 0.25f, 0.0f, -0.5f}) {
    AttentionCall call;
    call.scale = scale;
    nn::DenseAttention dense(a->config());
    REQUIRE(difference(a->forward(in.q, in.k, in.v, call), dense.forward(in.q, in.k, in.v, call)) <
            0.15);
  }
}

TEST_CASE("performer: bad options are named", "[performer]") {
  REQUIRE_THROWS_SAYING(made("performer:features=0", false), ValueError, "features");
  REQUIRE_THROWS_SAYING(made("performer:kind=trig", false), ValueError, "positive, hyperbolic");
  REQUIRE_THROWS_SAYING(made("performer:redraw=-1", false), ValueError, "redraw");
  Made a = made("performer:features=4", false);
  REQUIRE_THROWS_SAYING(performer(a).set_projection(zeros({3, 4})), ShapeError, "[4, 4] expected");
  REQUIRE_THROWS_SAYING(nn::random_projection(0, 3, true, {}), ValueError, "positive");
}

TEST_CASE("performer: follows the defaults, and a copy of it draws nothing", "[performer]") {
  const nn::AttentionConfig config{.heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4};
  Made a;
  {
    DefaultDevice on(test_device());
    DefaultDType wide(DType::f64);
    a = nn::make_attention("performer:features=16", config);
  }
  Tensor rows = performer(a).projection();
  REQUIRE(rows.device() == test_device());
  REQUIRE(rows.dtype() == DType::f64);
  bool more_than_f32 = rows.to(DType::f32).to(DType::f64).to_vector() != rows.to_vector();
  REQUIRE(more_than_f32);
  uint64_t offset = default_generator().offset();
  auto limit = a->exact_limit({});
  REQUIRE(default_generator().offset() == offset);
  Tensor x = Tensor(random_normal({1, 2, 5, 4}, 0, 1, {1, 0}, DType::f64)).to(test_device());
  REQUIRE(difference(limit->reference(x, x, x, {}), a->forward(x, x, x, {})) < 1e-12);
  REQUIRE(default_generator().offset() == offset);
  a->on_step(1000, {1, 2});
  rows = performer(a).projection();
  REQUIRE(rows.to(DType::f32).to(DType::f64).to_vector() != rows.to_vector());
}
