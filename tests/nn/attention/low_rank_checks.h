// Checks that tests of several variants make. Each takes a variant in f64 and throws (through
// REQUIRE) with what differs.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/score_map.h>
#include <heed/tests/nn/golden.h>

namespace heed::test {

struct VariantSize {
  int64_t batch = 2, heads = 2, kv_heads = 2, queries = 7, keys = 7, d = 4, e = 3;
  nn::AttentionShape shape(DType dtype = DType::f64) const {
    return {batch, heads, kv_heads, queries, keys, d, e, dtype};
  }
};

inline std::unique_ptr<nn::Attention> variant(const std::string& spec, const VariantSize& s,
                                              int64_t max_length = 32, DType dtype = DType::f64,
                                              bool causal = false) {
  auto a = nn::make_attention(spec, {.heads = s.heads,
                                     .kv_heads = s.kv_heads,
                                     .head_dim = s.d,
                                     .value_dim = s.e,
                                     .max_length = max_length,
                                     .causal = causal});
  a->to(dtype);
  return a;
}

struct Qkv {
  Tensor q, k, v;
  std::vector<Tensor> list() const { return {q, k, v}; }
};

inline Qkv inputs(const VariantSize& s, uint64_t seed = 1, DType dtype = DType::f64) {
  return {numbers({s.batch, s.heads, s.queries, s.d}, seed, dtype),
          numbers({s.batch, s.kv_heads, s.keys, s.d}, seed + 1, dtype),
          numbers({s.batch, s.kv_heads, s.keys, s.e}, seed + 2, dtype)};
}

inline nn::AttentionCall masked(nn::Mask mask) {
  nn::AttentionCall call;
  call.mask = std::move(mask);
  return call;
}

// Output and gradients of q, k, v and the parameters, for a fixed random cotangent.
inline std::vector<Tensor> run_both_ways(const nn::Attention& a, const Qkv& in,
                                         const nn::AttentionCall& call) {
  std::vector<Tensor> leaves;
  for (const Tensor& x : in.list()) leaves.push_back(x.detach().clone().set_requires_grad(true));
  Tensor out = a.forward(leaves[0], leaves[1], leaves[2], call);
  Tensor cotangent = numbers(out.shape(), 99, out.dtype());
  for (const Tensor& p : a.parameters()) leaves.push_back(p);
  std::vector<Tensor> result = grad({out}, leaves, {cotangent});
  result.insert(result.begin(), out);
  return result;
}

// `x` [B, H, T, D] with `value` at tokens outside [begin, end).
inline Tensor spoiled(const Tensor& x, const std::vector<int64_t>& begin,
                      const std::vector<int64_t>& end, double value) {
  return with_garbage(x.permute({0, 2, 1, 3}).clone(), begin, end, value)
      .permute({0, 2, 1, 3})
      .clone();
}

// Padding holds 0, 1e4 or NaN: nothing changes, gradients there are 0; and each row is what it
// would be alone, without its padding.
inline void check_padding(const nn::Attention& a, const VariantSize& s,
                          const std::vector<int64_t>& begin, const std::vector<int64_t>& end) {
  REQUIRE(s.queries == s.keys);
  nn::AttentionCall call = masked(nn::Mask::padding(begin, end));
  Qkv in = inputs(s);
  auto run = [&](double value) {
    return run_both_ways(a,
                         {spoiled(in.q, begin, end, value), spoiled(in.k, begin, end, value),
                          spoiled(in.v, begin, end, value)},
                         call);
  };
  std::vector<Tensor> clean = run(0);
  for (double value : {1e4, std::numeric_limits<double>::quiet_NaN()}) {
    std::vector<Tensor> dirty = run(value);
    for (size_t i = 0; i < clean.size(); ++i) {
      REQUIRE(all_finite(dirty[i]));
      REQUIRE(difference(dirty[i], clean[i]) == 0);
    }
  }
  for (int64_t b = 0; b < s.batch; ++b) {
    int64_t from = begin[static_cast<size_t>(b)], to = end[static_cast<size_t>(b)];
    auto row = [&](const Tensor& x) { return x.slice(0, b, b + 1); };
    for (int i = 0; i < 4; ++i) {
      REQUIRE(all_zero(row(clean[static_cast<size_t>(i)]).slice(2, 0, from)));
      REQUIRE(all_zero(row(clean[static_cast<size_t>(i)]).slice(2, to, s.keys)));
    }
    auto part = [&](const Tensor& x) { return row(x).slice(2, from, to); };
    Tensor alone = a.forward(part(in.q), part(in.k), part(in.v), {});
    REQUIRE(difference(part(clean[0]), alone) < 1e-12);
  }
}

// Row 0 does not depend on what row 1 holds.
inline void check_batch_independence(const nn::Attention& a, const VariantSize& s) {
  Qkv in = inputs(s);
  auto change = [](const Tensor& x, double factor) {
    return concat({x.slice(0, 0, 1), x.slice(0, 1, x.dim(0)) * factor}, 0);
  };
  Tensor one = a.forward(in.q, in.k, in.v, {});
  Tensor two = a.forward(change(in.q, 30), change(in.k, 20), change(in.v, -3), {});
  REQUIRE(difference(two[0], one[0]) == 0);
  Tensor alone = a.forward(in.q.slice(0, 0, 1), in.k.slice(0, 0, 1), in.v.slice(0, 0, 1), {});
  REQUIRE(difference(alone[0], one[0]) < 1e-13);
}

inline void check_gradients(const nn::Attention& a, const VariantSize& s,
                            const nn::AttentionCall& call = {}, bool second = true) {
  Qkv in = inputs(s);
  std::vector<Tensor> leaves;
  for (const Tensor& x : in.list()) leaves.push_back(x.detach().clone().set_requires_grad(true));
  for (const Tensor& p : a.parameters()) leaves.push_back(p);
  auto f = [&](const std::vector<Tensor>& x) { return a.forward(x[0], x[1], x[2], call); };
  GradcheckResult first = gradcheck(f, leaves);
  INFO(first.message);
  REQUIRE(first);
  if (!second) return;
  GradcheckResult both = gradgradcheck(f, leaves);
  INFO(both.message);
  REQUIRE(both);
}

inline void check_exact_limit(const std::string& name, const VariantSize& s,
                              const nn::AttentionCall& call = {}, DType dtype = DType::f64) {
  nn::ExactLimit limit = *variant(name, s)->exact_limit(s.shape(dtype));
  std::string options = limit.options.to_string();
  std::string joint = name.find(':') == std::string::npos ? ":" : ",";
  auto a = variant(name + (options.empty() ? "" : joint + options), s, 32, dtype);
  if (limit.prepare) limit.prepare(*a);
  Qkv in = inputs(s, 5, dtype);
  double found =
      difference(a->forward(in.q, in.k, in.v, call), limit.reference(in.q, in.k, in.v, call));
  CAPTURE(options, found);
  REQUIRE(found < (dtype == DType::f64 ? limit.tolerance_f64 : limit.tolerance_f32));
}

// weights(..) V is the output, for rows in any order.
inline void check_weights(const nn::Attention& a, const VariantSize& s,
                          const nn::AttentionCall& call = {}) {
  Qkv in = inputs(s);
  std::vector<int64_t> rows{s.queries - 1, 0, s.queries / 2, s.queries / 2};
  Tensor map = a.weights(in.q, in.k, call, rows);
  REQUIRE(map.shape() == Shape{s.batch, s.heads, 4, s.keys});
  Tensor v = nn::repeat_heads(call.mask.select_keys(in.v, 2), s.heads);
  Tensor expected = index_select(a.forward(in.q, in.k, in.v, call), 2, rows);
  REQUIRE(difference(matmul(map, v), expected) < 1e-11);
  REQUIRE(a.weights(in.q, in.k, call, {}).shape() == Shape{s.batch, s.heads, 0, s.keys});
  REQUIRE_THROWS_SAYING(a.weights(in.q, in.k, call, {s.queries}), ValueError,
                        a.name() + std::string(": weights of row ") + std::to_string(s.queries));
}

inline void check_edges(const nn::Attention& a, const VariantSize& s) {
  Qkv in = inputs(s);
  auto none = [](const Tensor& x) { return x.slice(2, 0, 0); };
  REQUIRE(a.forward(none(in.q), none(in.k), none(in.v), {}).shape() ==
          Shape{s.batch, s.heads, 0, s.e});
  if (a.traits().cross) {
    REQUIRE(all_zero(a.forward(in.q, none(in.k), none(in.v), {})));
    REQUIRE(a.forward(none(in.q), in.k, in.v, {}).dim(2) == 0);
  }
  std::vector<int64_t> lengths(static_cast<size_t>(s.batch), s.keys);
  lengths[0] = 0;
  nn::AttentionCall call = masked(nn::Mask::key_padding(lengths));
  std::vector<Tensor> result = run_both_ways(a, in, call);
  for (size_t i = 0; i < result.size(); ++i) REQUIRE(all_finite(result[i]));
  for (size_t i = 0; i < 4; ++i) REQUIRE(all_zero(result[i][0]));
  REQUIRE(all_zero(a.weights(in.q, in.k, call, {0, 1})[0]));
}

}  // namespace heed::test
