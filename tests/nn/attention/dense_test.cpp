#include <heed/autograd/backward.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/kv_cache.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::AttentionCall;
using nn::DenseAttention;
using nn::Mask;

namespace {

nn::AttentionConfig config(int64_t heads, int64_t kv_heads, int64_t d, int64_t e,
                           bool causal = false) {
  return {.heads = heads, .kv_heads = kv_heads, .head_dim = d, .value_dim = e, .causal = causal};
}

AttentionCall with(Mask mask) {
  AttentionCall call;
  call.mask = std::move(mask);
  return call;
}

// softmax(q k^T / sqrt(d)) v, number by number.
std::vector<double> by_hand(const Tensor& q, const Tensor& k, const Tensor& v,
                            const Tensor& visible) {
  int64_t heads = q.dim(1), t = q.dim(2), s = k.dim(2), d = q.dim(3), e = v.dim(3);
  int64_t group = heads / k.dim(1);
  std::vector<double> a = q.to_vector(), b = k.to_vector(), c = v.to_vector(), out;
  std::vector<double> see = broadcast_to(visible, {q.dim(0), heads, t, s}).to_vector();
  auto at = [](int64_t i) { return static_cast<size_t>(i); };
  for (int64_t n = 0; n < q.dim(0); ++n)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < t; ++i) {
        int64_t kv = n * k.dim(1) + h / group;
        std::vector<double> w(at(s), 0), row(at(e), 0);
        double total = 0;
        for (int64_t j = 0; j < s; ++j) {
          if (see[at(((n * heads + h) * t + i) * s + j)] == 0) continue;
          double dot = 0;
          for (int64_t x = 0; x < d; ++x)
            dot += a[at(((n * heads + h) * t + i) * d + x)] * b[at((kv * s + j) * d + x)];
          total += w[at(j)] = std::exp(dot / std::sqrt(static_cast<double>(d)));
        }
        for (int64_t j = 0; j < s && total > 0; ++j)
          for (int64_t x = 0; x < e; ++x)
            row[at(x)] += w[at(j)] / total * c[at((kv * s + j) * e + x)];
        out.insert(out.end(), row.begin(), row.end());
      }
  return out;
}

}  // namespace

TEST_CASE("dense: equals the formula, grouped heads and cross shapes too") {
  for (bool causal : {false, true})
    for (auto [heads, kv, t, s] : std::vector<std::array<int64_t, 4>>{
             {2, 2, 5, 5}, {4, 2, 3, 7}, {3, 1, 6, 4}, {1, 1, 1, 1}, {2, 2, 17, 33}}) {
      DenseAttention a(config(heads, kv, 3, 5, causal));
      Tensor q = numbers({2, heads, t, 3}, 1), k = numbers({2, kv, s, 3}, 2),
             v = numbers({2, kv, s, 5}, 3);
      Mask mask = Mask::key_padding({0, std::min<int64_t>(1, s - 1)}, {s, s});
      Tensor expected =
          Tensor::from(by_hand(q, k, v, mask.dense(2, t, s, kCpu, causal)), {2, heads, t, 5});
      REQUIRE(difference(a.forward(q, k, v, with(mask)), expected) < 1e-12);
      REQUIRE(difference(a.reference(q, k, v, with(mask)), expected) < 1e-12);
    }
}

TEST_CASE("dense: closed forms") {
  DenseAttention a(config(1, 1, 2, 3));
  Tensor q = numbers({1, 1, 4, 2}, 1), k = numbers({1, 1, 4, 2}, 2), v = numbers({1, 1, 4, 3}, 3);
  Tensor one = a.forward(q, k.slice(2, 0, 1), v.slice(2, 0, 1), {});
  REQUIRE(difference(one[0][0][3], v[0][0][0]) < 1e-14);  // one key: its value
  AttentionCall flat;
  flat.scale = 0.0f;
  REQUIRE(difference(a.forward(q, k, v, flat)[0][0][1], mean(v[0][0], {0})) <
          1e-14);  // scale 0: the mean
  AttentionCall sharp;
  sharp.scale = 1e5f;
  Tensor picked = index_select(v[0][0], 0, argmax(matmul(q[0][0], k[0][0].transpose(0, 1)), 1));
  REQUIRE(difference(a.forward(q, k, v, sharp)[0][0], picked) <
          1e-12);  // scale large: the best key's value
}

TEST_CASE("dense: NaN at padded keys and queries reaches nothing, nor any gradient") {
  double nan = std::numeric_limits<double>::quiet_NaN();
  DenseAttention a(config(2, 2, 4, 4, GENERATE(false, true)));
  std::vector<int64_t> begin{0, 1}, end{3, 5};
  Mask mask = Mask::padding(begin, end);
  Tensor cotangent = numbers({2, 2, 5, 4}, 9);
  auto run = [&](double garbage) {
    std::vector<Tensor> in;
    for (uint64_t i = 1; i <= 3; ++i) {
      Tensor x = with_garbage(numbers({2, 5, 2, 4}, i), begin, end, garbage);
      in.push_back(x.permute({0, 2, 1, 3}).clone().detach().set_requires_grad(true));
    }
    Tensor out = a.forward(in[0], in[1], in[2], with(mask));
    std::vector<Tensor> result = grad({out}, in, {cotangent});
    result.push_back(out);
    return result;
  };
  std::vector<Tensor> clean = run(0), dirty = run(nan), big = run(1e4);
  for (size_t i = 0; i < clean.size(); ++i) {
    REQUIRE(all_finite(dirty[i]));
    REQUIRE(difference(dirty[i], clean[i]) == 0);
    REQUIRE(difference(big[i], clean[i]) == 0);
  }
  REQUIRE(all_zero(clean[3][0].slice(1, 3, 5)));  // padded queries give 0
  REQUIRE(all_zero(clean[1][1].slice(1, 0, 1)));  // padded keys get gradient 0
}

TEST_CASE("dense: rows without a visible key and empty sequences") {
  DenseAttention a(config(1, 1, 2, 2));
  Tensor q = numbers({2, 1, 3, 2}, 1);
  REQUIRE(all_zero(a.forward(q, q, q, with(Mask::key_padding({0, 3})))[0]));
  REQUIRE(all_zero(a.weights(q, q, with(Mask::key_padding({0, 3})), {0, 2})[0]));
  Tensor none = zeros({2, 1, 0, 2}, DType::f64);
  REQUIRE(a.forward(none, q, q, {}).shape() == Shape{2, 1, 0, 2});
  REQUIRE(all_zero(a.forward(q, none, none, {})));
}

TEST_CASE("dense: weights are the map that is applied") {
  bool causal = GENERATE(false, true);
  DenseAttention a(config(4, 2, 3, 3, causal));
  Tensor q = numbers({2, 4, 6, 3}, 1), k = numbers({2, 2, 6, 3}, 2), v = numbers({2, 2, 6, 3}, 3);
  Tensor bias = numbers({6, 6}, 4), table = numbers({4, 8}, 5);
  Mask mask = Mask::padding({6, 4}) & Mask::added(bias) & Mask::window(4, 2) &
              Mask::relative(table, true, 16) & Mask::alibi(nn::alibi_slopes(4)) &
              Mask::pairs(less(numbers({1, 4, 6, 6}, 6), 1.0));
  AttentionCall call = with(mask);
  call.dropout = GENERATE(0.0f, 0.4f);
  call.random = {11, 3};
  std::vector<int64_t> rows{5, 0, 1, 2, 2};
  Tensor map = a.weights(q, k, call, rows);
  REQUIRE(map.shape() == Shape{2, 4, 5, 6});
  Tensor wide = broadcast_to(v.unsqueeze(2), {2, 2, 2, 6, 3}).reshape({2, 4, 6, 3});
  Tensor expected = index_select(a.forward(q, k, v, call), 2, rows);
  REQUIRE(difference(matmul(map, wide), expected) < 1e-12);
  if (call.dropout == 0) {
    REQUIRE_THAT(sum(map[0][1][0]).item(), WithinAbs(1, 1e-12));
    REQUIRE(all_zero(map[1][0][0]));  // query 5 is padding in row 1
  }
  REQUIRE_THROWS_SAYING(a.weights(q, k, call, {6}), ValueError, "row 6");
  REQUIRE(a.weights(q, k, call, {}).shape() == Shape{2, 4, 0, 6});
}

TEST_CASE("dense: reach, cost, exact limit and traits") {
  DenseAttention a(config(2, 1, 4, 8)), c(config(2, 1, 4, 8, true));
  Tensor q = numbers({2, 2, 3, 4}, 1), k = numbers({2, 1, 3, 4}, 2), v = numbers({2, 1, 3, 8}, 3);
  REQUIRE(a.reach(q, k, {}, 1) == std::vector<int64_t>{0, 1, 2});
  REQUIRE(c.reach(q, k, {}, 1) == std::vector<int64_t>{0, 1});
  REQUIRE(c.reach(q, k, with(Mask::key_padding({1, 0}, {3, 3})), 2) == std::vector<int64_t>{1, 2});
  REQUIRE(difference(a.exact_limit({})->reference(q, k, v, {}), a.forward(q, k, v, {})) < 1e-12);
  nn::AttentionShape shape{.batch = 3,
                           .heads = 2,
                           .kv_heads = 1,
                           .queries = 10,
                           .keys = 20,
                           .head_dim = 4,
                           .value_dim = 8};
  REQUIRE(a.cost(shape, nn::Pass::forward).flops == 2 * 3 * 2 * 10 * 20 * 12);
  REQUIRE(a.cost(shape, nn::Pass::backward).flops == 2 * 3 * 2 * 10 * 20 * (3 * 4 + 2 * 8));
  REQUIRE(a.cost(shape, nn::Pass::forward).state_bytes == 3 * 20 * 12 * 4);
  shape.keys = 10;
  REQUIRE(c.cost(shape, nn::Pass::forward).flops == 2 * 3 * 2 * 55 * 12);
  shape.keys = 20;  // the first of ten queries sees eleven keys
  REQUIRE(c.cost(shape, nn::Pass::forward).flops == 2 * 3 * 2 * 155 * 12);
  REQUIRE_THAT(nn::to_string(a.traits()), ContainsSubstring("causal, cross, key padding"));
  REQUIRE_THAT(nn::to_string(a.traits()), EndsWith("decode kv"));
}

TEST_CASE("KV cache: rows of unequal length, growth, select with repeats, clone, save and load") {
  DenseAttention a(config(2, 1, 3, 2, true));
  auto state = a.new_state(2, 4, DType::f64, kCpu);
  Tensor k = numbers({2, 1, 30, 3}, 1), v = numbers({2, 1, 30, 2}, 2);
  auto part = [](const Tensor& x, int64_t begin, int64_t end) { return x.slice(2, begin, end); };
  a.absorb(part(k, 0, 5), part(v, 0, 5), with(Mask::key_padding({0, 2}, {5, 4})), *state);
  REQUIRE(state->lengths() == Lengths{5, 2});
  a.absorb(part(k, 5, 30), part(v, 5, 30), {}, *state);
  auto& cache = dynamic_cast<nn::KVCache&>(*state);
  REQUIRE(state->lengths() == Lengths{30, 27});
  REQUIRE(cache.capacity() >= 30);
  REQUIRE(cache.keys()[1][0][0].to_vector() == k[1][0][2].to_vector());
  REQUIRE(cache.keys()[1][0][2].to_vector() == k[1][0][5].to_vector());
  REQUIRE(state->bytes() == 2 * cache.capacity() * 5 * 8);

  auto copy = state->clone();
  copy->select({1, 1, 0});
  REQUIRE(copy->batch() == 3);
  REQUIRE(copy->lengths() == Lengths{27, 27, 30});
  REQUIRE(state->lengths() == Lengths{30, 27});
  Tensor q = numbers({3, 2, 1, 3}, 3), q2 = concat({q.slice(0, 2, 3), q.slice(0, 0, 1)}, 0);
  Tensor wide = a.step(q, Tensor(), Tensor(), {}, *copy),
         narrow = a.step(q2, Tensor(), Tensor(), {}, *state);
  REQUIRE(difference(wide[0], narrow[1]) == 0);
  REQUIRE(difference(wide[2], narrow[0]) == 0);

  auto loaded = a.new_state(2, 0, DType::f64, kCpu);
  loaded->load(state->save());
  REQUIRE(difference(a.step(q2, Tensor(), Tensor(), {}, *loaded), narrow) == 0);

  REQUIRE_THROWS_SAYING(state->select({2}), ValueError, "row 2");
  REQUIRE_THROWS_SAYING(state->load({}), ValueError, "'k' is missing");
  nn::StateDict wrong = state->save();
  wrong["v"] = zeros({2, 1, 30, 7}, DType::f64);
  REQUIRE_THROWS_SAYING(state->load(wrong), ValueError, "does not fit");
  REQUIRE_THROWS_SAYING(a.absorb(k.to(DType::f32), v.to(DType::f32), {}, *state), DTypeError,
                        "the state holds f64");
  REQUIRE_THROWS_SAYING(a.absorb(k.slice(0, 0, 1), v.slice(0, 0, 1), {}, *state), ShapeError,
                        "2 rows expected");
  REQUIRE_THROWS_SAYING(a.absorb(v, k, {}, *state), ShapeError, "dense: k [2, 1, S, 3]");
  REQUIRE_THROWS_SAYING(a.step(q2, part(k, 0, 2), part(v, 0, 2), {}, *state), ShapeError,
                        "one key a query");
  AttentionCall drop;
  drop.dropout = 0.5f;
  REQUIRE_THROWS_SAYING(a.step(q2, Tensor(), Tensor(), drop, *state), ValueError, "dropout");
}

TEST_CASE("dense: decoding in any pieces equals the parallel form") {
  Tensor table = numbers({2, 8}, 7);
  Mask bias =
      GENERATE_COPY(values<Mask>({Mask(), Mask::window(2, 0), Mask::alibi(nn::alibi_slopes(2)),
                                  Mask::relative(table, false, 16)}));
  DenseAttention a(config(2, 1, 3, 2, true));
  int64_t n = 6;
  Tensor q = numbers({2, 2, n, 3}, 1), k = numbers({2, 1, n, 3}, 2), v = numbers({2, 1, n, 2}, 3);
  Tensor whole = a.forward(q, k, v, with(bias));
  for (int64_t cut = 1; cut < n; ++cut)
    for (int64_t size : {int64_t{1}, int64_t{2}, n}) {
      auto state = a.new_state(2, 1, DType::f64, kCpu);
      std::vector<Tensor> parts;
      for (int64_t at = 0; at < n;) {
        int64_t end = at == 0 ? cut : std::min(n, at + size);
        auto piece = [&](const Tensor& x) { return x.slice(2, at, end); };
        parts.push_back(a.step(piece(q), piece(k), piece(v), with(bias), *state));
        at = end;
      }
      REQUIRE(difference(concat(parts, 2), whole) < 1e-13);
    }
}
