// Attention in parts: merging by log-sum-exp, and sinks.
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/dense.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::DenseAttention;
using nn::Mask;

namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

AttentionTerms keys_of_row(const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  AttentionTerms terms;
  terms.key_begin = begin;
  terms.key_end = end;
  return terms;
}

// Row 0 has keys in both parts, row 1 in the second alone, row 2 in none.
AttentionParts in_two_parts(const Tensor& q, const Tensor& k, const Tensor& v, int64_t cut) {
  int64_t s = k.dim(2);
  FusedAttentionOptions options{.scale = 0.7};
  return merge_attention(
      fused_attention_parts(q, k, v, keys_of_row({0, 0, 0}, {cut, 0, 0}), options),
      fused_attention_parts(q, k, v, keys_of_row({cut, cut, 0}, {s, s, 0}), options));
}

std::vector<Tensor> gradients(const AttentionParts& parts, const std::vector<Tensor>& in) {
  Tensor lse = where(equal(parts.lse, -kInfinity), 0.0, parts.lse);
  Tensor total =
      sum(parts.out * numbers(parts.out.shape(), 7)) + sum(lse * numbers(lse.shape(), 8));
  return grad({total}, in);
}

Tensor with_row(double value, int64_t heads, int64_t row) {
  std::vector<double> x(static_cast<size_t>(heads), value);
  x[static_cast<size_t>(row)] = 0.4;
  return Tensor::from(x, {heads});
}

}  // namespace

TEST_CASE("attention parts: two disjoint sets of keys merge into the whole, gradients too") {
  for (int64_t cut : {0, 1, 5, 70, 90}) {
    INFO("cut " << cut);
    std::vector<Tensor> in;
    for (auto [shape, seed] :
         {std::pair{Shape{3, 4, 35, 6}, 1}, {Shape{3, 2, 90, 6}, 2}, {Shape{3, 2, 90, 5}, 3}})
      in.push_back(numbers(shape, static_cast<uint64_t>(seed)).set_requires_grad(true));
    AttentionParts whole = fused_attention_parts_reference(
        in[0], in[1], in[2], keys_of_row({0, cut, 0}, {90, 90, 0}), {.scale = 0.7});
    AttentionParts merged = in_two_parts(in[0], in[1], in[2], cut);
    REQUIRE(difference(merged.out, whole.out) < 1e-12);
    Tensor dead = merged.lse[2];
    REQUIRE(sum(equal(dead, -kInfinity).to(DType::f64)).item() == 4 * 35);
    if (cut < 90) REQUIRE(difference(exp(merged.lse), exp(whole.lse)) < 1e-12);
    std::vector<Tensor> a = gradients(merged, in), b = gradients(whole, in);
    for (size_t i = 0; i < 3; ++i) REQUIRE(difference(a[i], b[i]) < 1e-12);
  }
}

TEST_CASE("attention parts: what comes back to a row without keys reaches nothing, NaN included") {
  std::vector<Tensor> in;
  for (uint64_t seed : {1, 2, 3}) in.push_back(numbers({2, 1, 4, 3}, seed).set_requires_grad(true));
  AttentionTerms terms;  // row 1 sees nothing, its neighbours in the tile do
  terms.pair_mask = Tensor::from({1.0, 0.0, 1.0, 1.0}, {4, 1}).to(DType::boolean);
  AttentionParts parts = fused_attention_parts(in[0], in[1], in[2], terms, {.scale = 0.7});
  Tensor by_row = Tensor::from({1.0, std::nan(""), 1.0, 1.0}, {4}).to(DType::f64);
  for (const Tensor& g : grad({parts.lse}, in, {broadcast_to(by_row, {2, 1, 4})}))
    for (double x : g.to_vector()) REQUIRE(std::isfinite(x));
}

TEST_CASE("attention parts: bad input") {
  Tensor x = zeros({1, 2, 3, 4}), lse = zeros({1, 2, 3});
  REQUIRE_THROWS_SAYING(merge_attention({x, lse}, {x.slice(2, 0, 2), lse.slice(2, 0, 2)}),
                        ShapeError, "merge_attention: parts of one shape expected");
  REQUIRE_THROWS_SAYING(with_sinks({x, lse}, zeros({3})), ShapeError,
                        "with_sinks: sinks [2] expected, got [3]");
}

TEST_CASE("dense: a sink is one more key of value 0") {
  for (bool causal : {false, true}) {
    nn::AttentionConfig c{
        .heads = 4, .kv_heads = 2, .head_dim = 3, .value_dim = 5, .causal = causal};
    c.options = nn::Options("dense");
    DenseAttention plain(c);
    c.options.set("sinks", "true");
    DenseAttention a(c);
    Tensor q = numbers({2, 4, 6, 3}, 1), k = numbers({2, 2, 6, 3}, 2), v = numbers({2, 2, 6, 5}, 3);
    nn::AttentionCall call;
    call.mask = Mask::padding({6, 4});
    std::vector<double> logits{0, 0.5, -1, 3};
    a.sinks.set_value(Tensor::from(logits, {4}).to(DType::f32).array());
    // By hand: the row's exponentials, with the sink's in the denominator.
    Tensor map = plain.weights(q, k, call, {0, 1, 2, 3, 4, 5});
    Tensor out = a.forward(q, k, v, call), with_sink = a.weights(q, k, call, {0, 1, 2, 3, 4, 5});
    std::vector<double> p = map.to_vector(), x = q.to_vector(), y = k.to_vector();
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t h = 0; h < 4; ++h)
        for (int64_t i = 0; i < (b == 0 ? 6 : 4); ++i) {
          double total = 0;
          for (int64_t j = 0; j < (causal ? i + 1 : b == 0 ? 6 : 4); ++j) {
            double dot = 0;
            for (int64_t n = 0; n < 3; ++n)
              dot += x[static_cast<size_t>(((b * 4 + h) * 6 + i) * 3 + n)] *
                     y[static_cast<size_t>(((b * 2 + h / 2) * 6 + j) * 3 + n)];
            total += std::exp(dot / std::sqrt(3.0));
          }
          double share = total / (total + std::exp(logits[static_cast<size_t>(h)]));
          REQUIRE(difference(with_sink[b][h][i], map[b][h][i] * share) < 1e-12);
        }
    REQUIRE(difference(out, matmul(with_sink, nn::repeat_heads(v, 4))) < 1e-12);
    REQUIRE(difference(a.reference(q, k, v, call), out) < 1e-12);
    // A sink that nothing falls into leaves plain softmax; head 1 keeps its own.
    a.sinks.set_value(with_row(-kInfinity, 4, 1).to(DType::f32).array());
    Tensor none = a.forward(q, k, v, call), expected = plain.forward(q, k, v, call);
    for (int64_t h : {0, 2, 3})
      REQUIRE(difference(none.slice(1, h, h + 1), expected.slice(1, h, h + 1)) < 1e-15);
    REQUIRE(difference(none.slice(1, 1, 2), expected.slice(1, 1, 2)) > 1e-2);
  }
}

TEST_CASE("dense: the sinks' gradient") {
  nn::AttentionConfig c{.heads = 2, .kv_heads = 2, .head_dim = 3, .value_dim = 2};
  c.options = nn::Options("dense");
  c.options.set("sinks", "true");
  DenseAttention a(c);
  a.sinks.set_value(Tensor::from({0.3, -0.8}, {2}).to(DType::f64).array());
  nn::AttentionCall call;
  call.mask = Mask::padding({4, 0});
  auto f = [&](const std::vector<Tensor>& in) {
    DenseAttention b(c);
    b.sinks = in[3];
    return b.forward(in[0], in[1], in[2], call);
  };
  std::vector<Tensor> in{numbers({2, 2, 4, 3}, 1), numbers({2, 2, 4, 3}, 2),
                         numbers({2, 2, 4, 2}, 3), a.sinks.detach().clone()};
  for (Tensor& x : in) x.set_requires_grad(true);
  REQUIRE(gradcheck(f, in));
  REQUIRE(gradgradcheck(f, in));
}
