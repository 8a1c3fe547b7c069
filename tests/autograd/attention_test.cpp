// The fused kernel against its composition in double, values and gradients, over odd shapes and
// every term; closed forms; strides; instruction sets; determinism.
#include <heed/autograd/ops/broadcast.h>
#include <heed/tests/autograd/attention_cases.h>

namespace heed::attention_test {
namespace {

TEST_CASE("attention: fused equals reference over odd shapes", "[attention]") {
  struct Size {
    int64_t t, s, d, e;
  };
  for (Size z :
       {Size{1, 1, 1, 1}, Size{2, 3, 3, 5}, Size{3, 2, 24, 24}, Size{17, 17, 32, 32},
        Size{1, 127, 64, 64}, Size{4, 65, 80, 3}, Size{5, 64, 96, 80}, Size{63, 64, 24, 32},
        Size{65, 17, 3, 96}, Size{127, 65, 64, 64}, Size{130, 200, 16, 8}})
    for (bool causal : {false, true})
      for (double dropout : {0.0, 0.3}) {
        Case c{.t = z.t, .s = z.s, .d = z.d, .e = z.e};
        c.terms.causal = causal;
        c.options.dropout = dropout;
        check(c);
      }
}

TEST_CASE("attention: every term", "[attention]") {
  struct Size {
    int64_t t, s;
  };
  for (Size z : {Size{9, 9}, Size{3, 20}, Size{70, 65}, Size{33, 140}})
    for (auto& [name, terms] : all_terms(2, 4, z.t, z.s))
      for (double dropout : {0.0, 0.25}) {
        INFO(name << ", dropout " << dropout);
        Case c{.h = 4, .kv = 2, .t = z.t, .s = z.s, .d = 8, .e = 12, .terms = terms};
        c.options.dropout = dropout;
        check(c);
      }
}

TEST_CASE("attention: one head, several tasks", "[attention]") {
  for (auto& [name, terms] : all_terms(1, 1, 150, 90)) {
    INFO(name);
    check({.b = 1, .h = 1, .kv = 1, .t = 150, .s = 90, .d = 8, .e = 8, .terms = terms});
  }
}

TEST_CASE("attention: closed forms", "[attention]") {
  Case c{.h = 2, .kv = 2, .t = 7, .s = 7, .d = 6, .e = 7};
  std::vector<Tensor> x = operands(c);
  SECTION("one key: the output is its value") {
    Tensor v = normal({2, 3, 1, 5}, 3);
    Tensor o =
        fused_attention(normal({2, 3, 1, 4}, 1), normal({2, 3, 1, 4}, 2), v, {}, {.scale = 1});
    REQUIRE(o.to_vector() == v.to_vector());
  }
  SECTION("values = identity: the weights, whose rows sum to 1") {
    Tensor o = fused_attention(x[0], x[1], broadcast_to(eye(7, DType::f64), {2, 2, 7, 7}), {},
                               {.scale = 1});
    for (double total : sum(o, {3}).to_vector()) REQUIRE(std::abs(total - 1) < 1e-14);
  }
  SECTION("scale 0: the mean of the visible values") {
    AttentionTerms terms;
    terms.key_end = {7, 4};
    std::vector<double> o = fused_attention(x[0], x[1], x[2], terms, {.scale = 0}).to_vector();
    std::vector<double> v = x[2].to_vector();
    double mean = 0;
    for (size_t j = 0; j < 4; ++j) mean += v[(2 * 7 + j) * 7] / 4;
    REQUIRE(std::abs(o[2 * 7 * 7] - mean) < 1e-14);
  }
  SECTION("large scale: the value of the best key") {
    Tensor k = eye(6, DType::f64).reshape({1, 1, 6, 6});
    Tensor v = normal({1, 1, 6, 3}, 5);
    REQUIRE(fused_attention(k, k, v, {}, {.scale = 1e6}).to_vector() == v.to_vector());
  }
  SECTION("dropout 1: zeros") {
    for (double o : fused_attention(x[0], x[1], x[2], {}, {.scale = 1, .dropout = 1}).to_vector())
      REQUIRE(o == 0);
  }
}

TEST_CASE("attention: first and second derivatives", "[attention]") {
  for (auto& [name, terms] : all_terms(2, 2, 4, 5)) {
    INFO(name);
    std::vector<Tensor> in{normal({2, 2, 4, 3}, 1), normal({2, 1, 5, 3}, 2),
                           normal({2, 1, 5, 2}, 3)};
    if (terms.relative_bias.defined()) in.push_back(terms.relative_bias);
    if (terms.bias.defined()) in.push_back(terms.bias);
    for (Tensor& x : in) x.set_requires_grad(true);
    auto f = [terms = terms](const std::vector<Tensor>& x) {
      AttentionTerms all = terms;
      size_t next = 3;
      if (all.relative_bias.defined()) all.relative_bias = x[next++];
      if (all.bias.defined()) all.bias = x[next++];
      return fused_attention(x[0], x[1], x[2], all, {.scale = 0.7, .dropout = 0.2, .key = {5, 0}});
    };
    auto first = gradcheck(f, in);
    INFO(first.message);
    REQUIRE(first);
    auto second = gradgradcheck(f, in);
    INFO(second.message);
    REQUIRE(second);
  }
}

TEST_CASE("attention: views with strides", "[attention]") {
  Case c{.h = 3, .kv = 3, .t = 20, .s = 20, .d = 8, .e = 8};
  std::vector<Tensor> dense = operands(c), strided;
  for (const Tensor& x : dense)
    strided.push_back(x.transpose(1, 2).contiguous().transpose(1, 2));  // [B, T, H, D] memory
  Tensor last = dense[2].transpose(2, 3).contiguous().transpose(2, 3);  // gaps in the last axis
  auto value = [&](const Tensor& q, const Tensor& k, const Tensor& v) {
    return fused_attention(q, k, v, {}, {.scale = 0.3});
  };
  Tensor want = value(dense[0], dense[1], dense[2]);
  REQUIRE(value(strided[0], strided[1], strided[2]).to_vector() == want.to_vector());
  REQUIRE(value(strided[0], dense[1], last).to_vector() == want.to_vector());
  REQUIRE(want.array().can_view({2, 3, 20, 8}));
  Tensor merged = want.transpose(1, 2);  // no copy
  REQUIRE(merged.array().is_contiguous());
  // A broadcast cotangent, as `sum` gives it.
  Tensor q = strided[0].set_requires_grad(true);
  Tensor g1 = grad({value(q, strided[1], strided[2])}, {q},
                   {broadcast_to(full({1}, 0.5, DType::f64), {2, 3, 20, 8})})[0];
  Tensor g2 =
      grad({value(q, strided[1], strided[2])}, {q}, {full({2, 3, 20, 8}, 0.5, DType::f64)})[0];
  REQUIRE(g1.to_vector() == g2.to_vector());
}

TEST_CASE("attention: instruction sets agree, runs repeat to the bit", "[attention]") {
  IsaLevel before = isa_level();
  Case c{.h = 4, .kv = 2, .t = 77, .s = 90, .d = 24, .e = 40};
  c.terms = all_terms(2, 4, 77, 90).back().second;
  c.options.dropout = 0.1;
  std::vector<Tensor> x = operands(c);
  Tensor cotangent = normal({2, 4, 77, 40}, 9);
  Outcome want = run(fused_attention_reference, c, x, cotangent, DType::f64);
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512}) {
    if (!isa_available(level)) continue;
    set_isa_level(level);
    INFO(to_string(level));
    for (DType dtype : {DType::f64, DType::f32}) {
      double tolerance = dtype == DType::f64 ? 1e-12 : 4e-6;
      Outcome a = run(fused_attention, c, x, cotangent, dtype),
              b = run(fused_attention, c, x, cotangent, dtype);
      require_near(a.out, want.out, tolerance, 1e-2, "output");
      REQUIRE(a.out.to_vector() == b.out.to_vector());
      for (size_t i = 0; i < a.gradients.size(); ++i) {
        require_near(a.gradients[i], want.gradients[i], tolerance, 1e-2, "gradient");
        REQUIRE(a.gradients[i].to_vector() == b.gradients[i].to_vector());
      }
    }
  }
  set_isa_level(before);
}

TEST_CASE("attention: relative buckets are T5's", "[attention]") {
  // 32 buckets, distance 128, both ways: 16 a side, 8 exact, then logarithmic.
  int64_t want[][2] = {{0, 0},     {-1, 1},   {-7, 7},   {-8, 8},   {-15, 9},
                       {-16, 10},  {-32, 12}, {-64, 14}, {-91, 15}, {-128, 15},
                       {-999, 15}, {1, 17},   {8, 24},   {64, 30},  {500, 31}};
  for (auto& [relative, bucket] : want) REQUIRE(relative_bucket(relative, true, 32, 128) == bucket);
  REQUIRE(relative_bucket(3, false, 32, 128) == 0);
  REQUIRE(relative_bucket(-15, false, 32, 128) == 15);
  REQUIRE(relative_bucket(-16, false, 32, 128) == 16);
  REQUIRE(relative_bucket(-128, false, 32, 128) == 31);
}

}  // namespace
}  // namespace heed::attention_test
