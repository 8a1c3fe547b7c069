#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/selected_attention.h>
#include <heed/nn/attention/topk.h>
#include <heed/nn/position_bias.h>
#include <heed/tests/nn/attention/sparse_checks.h>

using namespace heed;
using namespace heed::test;
using nn::make_attention;

namespace {

std::unique_ptr<Attention> topk(int64_t k, bool causal = false, int64_t heads = 2, int64_t kv = 1) {
  return make_attention(str("topk:k=", k), variant_config(heads, kv, 3, 5, causal));
}

// The same by sorting each row of the dense scores: bool [B, H, T, S].
Tensor by_sorting(const Operands& x, const Mask& mask, bool causal, int64_t k) {
  int64_t b = x.q.dim(0), h = x.q.dim(1), t = x.q.dim(2), s = x.k.dim(2), group = h / x.k.dim(1);
  std::vector<double> q = x.q.to_vector(), keys = x.k.to_vector();
  std::vector<double> see =
      broadcast_to(mask.dense(b, t, s, kCpu, causal), {b, h, t, s}).to_vector();
  std::vector<double> add(see.size(), 0);
  if (Tensor bias = mask.dense_bias(b, t, s, DType::f64); bias.defined())
    add = broadcast_to(bias, {b, h, t, s}).to_vector();
  Array keep = Array::zeros({b, h, t, s}, DType::boolean, kCpu);
  for (int64_t row = 0; row < b * h * t; ++row) {
    int64_t kv = row / t / h * x.k.dim(1) + row / t % h / group;
    std::vector<std::pair<double, int64_t>> order;
    for (int64_t j = 0; j < s; ++j) {
      size_t at = static_cast<size_t>(row * s + j);
      if (see[at] == 0) continue;
      double dot = 0;
      for (int64_t c = 0; c < 3; ++c)
        dot +=
            q[static_cast<size_t>(row * 3 + c)] * keys[static_cast<size_t>((kv * s + j) * 3 + c)];
      order.emplace_back(-(dot / std::sqrt(3.0) + add[at]), j);
    }
    std::sort(order.begin(), order.end());
    for (int64_t n = 0; n < std::min<int64_t>(k, static_cast<int64_t>(order.size())); ++n)
      keep.data<bool>()[row * s + order[static_cast<size_t>(n)].second] = true;
  }
  return Tensor(keep);
}

std::vector<Tensor> by_variant(const Attention& a, const AttentionCall& call, const Operands& x) {
  return with_gradients(
      [&](const Tensor& q, const Tensor& k, const Tensor& v) { return a.forward(q, k, v, call); },
      x);
}

}  // namespace

TEST_CASE("topk: equals dense attention over the k largest scores, gradients too", "[topk]") {
  for (bool causal : {false, true})
    for (int64_t k : {1, 2, 7, 40, 200})
      for (int64_t t : {1, 3, 65, 130}) {
        INFO("k " << k << (causal ? " causal, " : ", ") << t << " tokens");
        auto a = topk(k, causal);
        Operands x = operands_for(*a, 2, t);
        AttentionCall call = masked(Mask::padding({t, t / 2}) & Mask::alibi(nn::alibi_slopes(2)) &
                                    Mask::window(100, 50));
        for (const AttentionCall& c : {AttentionCall(), call}) {
          nn::DenseAttention dense(variant_config(2, 1, 3, 5, causal));
          AttentionCall with = c;
          with.mask = c.mask & Mask::pairs(by_sorting(x, c.mask, causal, k));
          auto want =
              with_gradients([&](const Tensor& q, const Tensor& kk,
                                 const Tensor& v) { return dense.reference(q, kk, v, with); },
                             x);
          require_same(by_variant(*a, c, x), want, 1e-12);
        }
      }
}

TEST_CASE("topk: differentiable biases, dropout", "[topk]") {
  auto a = topk(3);
  Operands x = operands_for(*a, 2, 20);
  Tensor bias = numbers({20, 20}, 7).set_requires_grad(true);
  Tensor table = numbers({2, 8}, 8).set_requires_grad(true);
  Mask mask = Mask::added(bias) & Mask::relative(table, true, 16);
  AttentionCall call = masked(mask);
  call.dropout = 0.4f;
  call.random = {9, 2};
  nn::DenseAttention dense(variant_config(2, 1, 3, 5));
  AttentionCall with = call;
  with.mask = mask & Mask::pairs(by_sorting(x, mask, false, 3));
  Tensor cotangent = numbers({2, 2, 20, 5}, 3);
  Tensor got = a->forward(x.q, x.k, x.v, call), want = dense.reference(x.q, x.k, x.v, with);
  REQUIRE(difference(got, want) < 1e-12);
  std::vector<Tensor> mine = grad({got}, {bias, table}, {cotangent}),
                      other = grad({want}, {bias, table}, {cotangent});
  REQUIRE(difference(mine[0], other[0]) < 1e-12);
  REQUIRE(difference(mine[1], other[1]) < 1e-12);
}

TEST_CASE("topk: closed forms, ties", "[topk]") {
  auto one = topk(1, false, 1, 1);
  Operands x = operands_for(*one, 1, 6);
  std::vector<Tensor> g = by_variant(*one, {}, x);
  Tensor best = argmax(matmul(x.q[0][0], x.k[0][0].transpose(0, 1)), 1);
  REQUIRE(difference(g[3][0][0], index_select(x.v[0][0], 0, best)) < 1e-14);  // k = 1: the argmax
  REQUIRE(all_zero(g[0]));
  REQUIRE(all_zero(g[1]));
  auto two = topk(2, false, 1, 1);
  Tensor same = ones({1, 1, 6, 3}, DType::f64);  // equal scores: the first k keys, averaged
  Tensor out = two->forward(x.q, same, x.v, {});
  REQUIRE(difference(out[0][0][4], mean(x.v[0][0].slice(0, 0, 2), {0})) < 1e-14);
  // Later equals do not push out earlier ones, a larger one pushes out the last of the equals.
  Tensor keys = Tensor::from(std::vector<double>{1, 1, 1, 2, 1}, {1, 1, 5, 1});
  auto narrow = make_attention("topk:k=3", variant_config(1, 1, 1, 1));
  Tensor q = ones({1, 1, 1, 1}, DType::f64);
  REQUIRE(narrow->reach(q, keys, {}, 0) == std::vector<int64_t>{0, 1, 3});
  REQUIRE(narrow->reach(q, keys, masked(Mask::key_padding({1}, {5})), 0) ==
          std::vector<int64_t>{1, 2, 3});
}

TEST_CASE("topk: gradients by differences, where kth and next differ", "[topk]") {
  auto a = topk(2, true, 1, 1);
  Operands x = operands_for(*a, 1, 4);
  std::vector<Tensor> in;
  for (const Tensor& t : {x.q, x.k, x.v}) in.push_back(t.clone().detach().set_requires_grad(true));
  auto f = [&](const std::vector<Tensor>& t) { return a->forward(t[0], t[1], t[2], {}); };
  GradcheckResult first = gradcheck(f, in), second = gradgradcheck(f, in);
  INFO(first.message << second.message);
  REQUIRE(first);
  REQUIRE(second);
}

TEST_CASE("topk: padding, edges, weights, causality, cross", "[topk]") {
  for (bool causal : {false, true})
    for (int64_t k : {1, 3, 50}) {
      auto a = topk(k, causal);
      check_padding(*a, {}, {0, 2}, {7, 12}, 12);
      check_edges(*a, {});
      check_weights(*a, {}, 11);
      check_weights(*a, masked(Mask::padding({11, 6}) & Mask::window(4, 1)), 11);
      if (causal) check_causality(*a, {}, 20, k > 20);
    }
  auto a = topk(3);
  Operands x = operands_for(*a, 2, 9);
  Tensor q = x.q.slice(2, 0, 4), none = x.k.slice(2, 0, 0);
  auto limit = topk(9)->exact_limit({.queries = 4, .keys = 9});
  REQUIRE(limit->options.to_string() == "k=9");
  REQUIRE(difference(topk(9)->forward(q, x.k, x.v, {}), limit->reference(q, x.k, x.v, {})) < 1e-12);
  REQUIRE(all_zero(a->forward(q, none, x.v.slice(2, 0, 0), {})));
}

TEST_CASE("topk: decoding equals forward", "[topk]") {
  auto a = topk(3, true);
  check_decoding(*a, {}, 9, {1, 4, 8});
  check_decoding(*a, masked(Mask::alibi(nn::alibi_slopes(2))), 9, {2});
  check_unequal_prompts(*a, {}, 12, 4);
}

TEST_CASE("topk: cost, options", "[topk]") {
  nn::AttentionShape shape{.batch = 2,
                           .heads = 2,
                           .kv_heads = 1,
                           .queries = 10,
                           .keys = 10,
                           .head_dim = 3,
                           .value_dim = 5};
  REQUIRE(topk(4)->cost(shape, nn::Pass::forward).flops == 2 * 2 * 2 * (100 * 3 + 40 * 8));
  REQUIRE(topk(4, true)->cost(shape, nn::Pass::backward).flops == 2 * 2 * 2 * (6 + 7 * 4) * 19);
  REQUIRE_THROWS_SAYING(topk(0), ValueError, "topk: option 'k' is '0'; allowed: an integer from 1");
  REQUIRE_THROWS_SAYING(make_attention("topk:n=3", variant_config(1, 1, 1, 1)), ValueError,
                        "unknown option 'n=3'");
  REQUIRE_THROWS_SAYING(attention_topk(ones({1, 1, 1, 1}), ones({1, 1, 1, 1}), {}, 1, 0),
                        ValueError, "count 0");
}
