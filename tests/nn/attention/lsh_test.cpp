#include <set>

#include <heed/nn/attention/lsh.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/tests/nn/attention/sparse_checks.h>

using namespace heed;
using namespace heed::test;
using nn::LshAttention;
using nn::make_attention;

namespace {

std::unique_ptr<Attention> lsh(const std::string& options, bool causal = false) {
  return make_attention("lsh:" + options, variant_config(2, 2, 4, 5, causal));
}

// Values and gradients with q and k tied.
std::vector<Tensor> tied(const Form& form, const Operands& x) {
  Tensor q = x.q.detach().clone().set_requires_grad(true);
  Tensor v = x.v.detach().clone().set_requires_grad(true);
  Tensor out = form(q, q, v);
  std::vector<Tensor> result = grad({out}, {q, v}, {numbers(out.shape(), 99)});
  result.push_back(out);
  return result;
}

std::vector<Tensor> tied(const Attention& a, const AttentionCall& call, const Operands& x) {
  return tied(
      [&](const Tensor& q, const Tensor& k, const Tensor& v) { return a.forward(q, k, v, call); },
      x);
}

// Each round by itself as the paper has it, then merged by log-sum-exps, with a pair that c rounds
// found weighted by -log c.
Tensor by_rounds(const LshAttention& a, const Operands& x, int64_t rounds, int64_t chunk) {
  int64_t batch = x.q.dim(0), heads = x.q.dim(1), n = x.q.dim(2), d = x.q.dim(3), e = x.v.dim(3);
  bool causal = a.config().causal;
  Tensor out = zeros(x.v.shape(), DType::f64);
  double* to = out.array().data<double>();
  std::vector<double> bucket = a.hash(x.q).to_vector(), q = x.q.to_vector(), v = x.v.to_vector();
  auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t h = 0; h < batch * heads; ++h) {
    std::vector<std::vector<std::set<int64_t>>> seen(at(rounds),
                                                     std::vector<std::set<int64_t>>(at(n)));
    for (int64_t r = 0; r < rounds; ++r) {
      auto of = [&](int64_t i) { return bucket[at((h * rounds + r) * n + i)]; };
      std::vector<int64_t> order(at(n)), place(at(n));
      for (int64_t i = 0; i < n; ++i) order[at(i)] = i;
      std::stable_sort(order.begin(), order.end(),
                       [&](int64_t i, int64_t j) { return of(i) < of(j); });
      for (int64_t p = 0; p < n; ++p) place[at(order[at(p)])] = p;
      for (int64_t i = 0; i < n; ++i)
        for (int64_t j = 0; j < n; ++j) {
          if (of(i) != of(j)) continue;
          int64_t back = place[at(i)] - place[at(j)];
          int64_t chunks = place[at(i)] / chunk - place[at(j)] / chunk;
          if (causal ? back >= 0 && back < chunk : chunks == 0 || chunks == 1)
            seen[at(r)][at(i)].insert(j);
        }
    }
    for (int64_t i = 0; i < n; ++i) {
      std::vector<double> lse, part(at(rounds * e), 0);
      for (int64_t r = 0; r < rounds; ++r) {
        double total = 0;
        for (int64_t j : seen[at(r)][at(i)]) {
          double dot = 0, norm = 0, count = 0;
          for (int64_t c = 0; c < d; ++c) {
            dot += q[at((h * n + i) * d + c)] * q[at((h * n + j) * d + c)];
            norm += q[at((h * n + j) * d + c)] * q[at((h * n + j) * d + c)];
          }
          for (int64_t s = 0; s < rounds; ++s)
            count += static_cast<double>(seen[at(s)][at(i)].count(j));
          double score = i == j ? -5e4 : dot / std::sqrt(norm) / std::sqrt(static_cast<double>(d));
          if (i == j && seen[at(r)][at(i)].size() == 1) score = -40;  // what double can still hold
          double w = std::exp(score) / count;
          total += w;
          for (int64_t c = 0; c < e; ++c) part[at(r * e + c)] += w * v[at((h * n + j) * e + c)];
        }
        lse.push_back(std::log(total));
      }
      double all = 0;
      for (double l : lse) all += std::exp(l);
      for (int64_t r = 0; r < rounds; ++r)
        for (int64_t c = 0; c < e; ++c)
          to[(h * n + i) * e + c] += part[at(r * e + c)] / all;  // exp(lse_r - lse) o_r
    }
  }
  return out;
}

}  // namespace

TEST_CASE("lsh: without hashing it is dense shared-QK attention that avoids itself", "[lsh]") {
  for (bool causal : {false, true})
    for (int64_t t : {1, 2, 9, 33}) {
      auto a = lsh(str("buckets=1,rounds=", causal ? 1 : 2, ",chunk=40"), causal);
      auto limit = a->exact_limit({.queries = t, .keys = t});
      Operands x = operands_for(*a, 2, t);
      AttentionCall call = masked(Mask::padding({t, t / 2}));
      require_same(
          tied(*a, {}, x),
          tied([&](auto& q, auto& k, auto& v) { return limit->reference(q, k, v, {}); }, x), 1e-12);
      require_same(
          tied(*a, call, x),
          tied([&](auto& q, auto& k, auto& v) { return limit->reference(q, k, v, call); }, x),
          1e-12);
    }
  auto a = lsh("buckets=1,chunk=8", true);
  Operands x = operands_for(*a, 1, 6);
  Tensor out = a->forward(x.q, x.k, x.v, {});
  REQUIRE(difference(out.slice(2, 0, 1), x.v.slice(2, 0, 1)) < 1e-14);  // only itself to see
  REQUIRE(difference(out.slice(2, 1, 2), x.v.slice(2, 0, 1)) < 1e-14);  // never itself otherwise
}

TEST_CASE("lsh: equals the paper's rounds merged by log-sum-exp", "[lsh]") {
  for (bool causal : {false, true})
    for (int64_t rounds : {1, 2, 5}) {
      INFO("rounds " << rounds << (causal ? ", causal" : ""));
      auto a = lsh(str("buckets=4,chunk=5,rounds=", rounds), causal);
      Operands x = operands_for(*a, 2, 40);
      Tensor want = by_rounds(dynamic_cast<const LshAttention&>(*a), x, rounds, 5);
      // The stand-in for a lone self score shows where a token is alone in some rounds only: e^-40.
      REQUIRE(difference(a->forward(x.q, x.q, x.v, {}), want) < 1e-10);
    }
}

TEST_CASE("lsh: more rounds come closer to dense attention", "[lsh]") {
  double before = 1e9;
  for (int64_t rounds : {1, 4, 16}) {
    double error = 0;
    for (uint64_t seed = 0; seed < 4; ++seed) {
      auto a = lsh(str("buckets=4,chunk=16,rounds=", rounds, ",seed=", seed));
      Operands x = operands_for(*a, 1, 64, 10 * seed + 1);
      Tensor want = dynamic_cast<const LshAttention&>(*a).dense_reference(x.q, x.q, x.v, {});
      Tensor gap = a->forward(x.q, x.q, x.v, {}) - want;
      error += sum(gap * gap).item();
    }
    REQUIRE(error < before);
    before = error;
  }
}

TEST_CASE("lsh: buckets follow directions, not lengths or neighbours", "[lsh]") {
  auto a = lsh("buckets=8,rounds=3", true);
  const auto& variant = dynamic_cast<const LshAttention&>(*a);
  Tensor x = numbers({1, 2, 30, 4}, 4);
  REQUIRE(variant.hash(x).to_vector() == variant.hash(x * 7.0).to_vector());
  REQUIRE(variant.hash(x.slice(2, 0, 9)).to_vector() == variant.hash(x).slice(3, 0, 9).to_vector());
  auto twin = lsh("buckets=8,rounds=3", true), other = lsh("buckets=8,rounds=3,seed=1", true);
  REQUIRE(dynamic_cast<const LshAttention&>(*twin).hash(x).to_vector() ==
          variant.hash(x).to_vector());
  REQUIRE(dynamic_cast<const LshAttention&>(*other).hash(x).to_vector() !=
          variant.hash(x).to_vector());
  REQUIRE(a->state_dict().count("rotations") == 1);
  auto config = variant_config(2, 2, 4, 5);
  config.max_length = 1000;
  REQUIRE(dynamic_cast<const LshAttention&>(*make_attention("lsh:chunk=64", config)).buckets() ==
          16);
}

TEST_CASE("lsh: padding, edges, weights, causality, decoding", "[lsh]") {
  for (const std::string& setting : std::vector<std::string>{
           "buckets=4,chunk=3,rounds=2", "buckets=2,chunk=20,rounds=3", "buckets=1"})
    for (bool causal : {false, true}) {
      INFO(setting << causal);
      auto a = lsh(setting, causal);
      check_padding(*a, {}, {0, 2}, {7, 12}, 12);
      check_edges(*a, {});
      AttentionCall drop;
      drop.dropout = 0.4f;
      drop.random = {3, 1};
      for (const AttentionCall& call : {AttentionCall(), drop, masked(Mask::padding({11, 6}))}) {
        Operands x = operands_for(*a, 2, 11);
        Tensor map = a->weights(x.q, x.k, call, {3, 0, 10});
        Tensor want = index_select(a->forward(x.q, x.k, x.v, call), 2, {3, 0, 10});
        REQUIRE(difference(matmul(map, x.v), want) < 1e-12);
      }
      if (!causal) {
        REQUIRE_THROWS_SAYING(a->new_state(1, 1, DType::f32, kCpu), ValueError,
                              "lsh: decoding is not supported");
        continue;
      }
      check_causality(*a, {}, 20);
      check_decoding(*a, {}, 13, {1, 4, 8});
      check_unequal_prompts(*a, {}, 12, 4);
    }
}

TEST_CASE("lsh: gradients by differences, reach, cost, multi-head", "[lsh]") {
  auto a = lsh("buckets=2,chunk=4,rounds=2", true);
  Operands x = operands_for(*a, 1, 5);
  std::vector<Tensor> in{x.q.clone().detach().set_requires_grad(true),
                         x.v.clone().detach().set_requires_grad(true)};
  auto f = [&](const std::vector<Tensor>& t) { return a->forward(t[0], t[0], t[1], {}); };
  GradcheckResult first = gradcheck(f, in), second = gradgradcheck(f, in);
  INFO(first.message << second.message);
  REQUIRE(first);
  REQUIRE(second);
  REQUIRE(a->reach(x.q, x.k, {}, 0) == std::vector<int64_t>{0});
  for (int64_t j : a->reach(x.q, x.k, {}, 4)) REQUIRE(j < 5);
  nn::AttentionShape shape{.batch = 1,
                           .heads = 2,
                           .kv_heads = 2,
                           .queries = 10,
                           .keys = 10,
                           .head_dim = 4,
                           .value_dim = 5};
  nn::Cost cost = a->cost(shape, nn::Pass::forward);
  REQUIRE(cost.upper_bound);
  REQUIRE(cost.flops == 2 * 2 * (1 + 2 + 3 + 4 + 5 + 6 + 4 * 7) * 9 + 2 * 2 * 80 * 2 * 1);

  nn::MultiHeadAttention layer(8, {.heads = 2, .variant = "lsh:buckets=2,chunk=4"});
  REQUIRE(layer.state_dict().count("k_proj.weight") == 0);
  REQUIRE(layer.forward(numbers({2, 6, 8}, 1, DType::f32), {}).shape() == Shape{2, 6, 8});
}

TEST_CASE("lsh: bad options and refusals", "[lsh]") {
  REQUIRE_THROWS_SAYING(lsh("buckets=3"), ValueError,
                        "lsh: option 'buckets' is '3'; allowed: 1 (no hashing) or an even number");
  REQUIRE_THROWS_SAYING(lsh("rounds=0"), ValueError, "'rounds' is '0'");
  REQUIRE_THROWS_SAYING(lsh("chunk=0"), ValueError, "'chunk' is '0'");
  REQUIRE_THROWS_SAYING(lsh("bits=8"), ValueError, "unknown option 'bits=8'");
  REQUIRE_THROWS_SAYING(make_attention("lsh", variant_config(2, 1, 4, 5)), ValueError,
                        "lsh: grouped-query attention");
  auto a = lsh("buckets=2", true);
  Operands x = operands_for(*a, 1, 4);
  REQUIRE_THROWS_SAYING(a->forward(x.q, x.k, x.v, masked(Mask::window(1, 1))), ValueError,
                        "lsh: a pair mask or window is not supported");
  REQUIRE_THROWS_SAYING(a->forward(x.q, x.k.slice(2, 0, 3), x.v.slice(2, 0, 3), {}), ValueError,
                        "lsh: cross-attention");
}

TEST_CASE("lsh: rotations follow the default dtype", "[lsh]") {
  DefaultDType wide(DType::f64);
  auto a = lsh("buckets=4");
  Tensor rotations = a->named_buffers().at(0).second;
  REQUIRE(rotations.dtype() == DType::f64);
  REQUIRE(rotations.to(DType::f32).to(DType::f64).to_vector() != rotations.to_vector());
}
