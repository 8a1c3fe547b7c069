// Direct checks of a variant, by spec, in float64: what the tests of several variants share.
#pragma once

#include <set>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/tests/nn/golden.h>

namespace heed::test {

using nn::AttentionCall;
using nn::Mask;
using Made = std::unique_ptr<nn::Attention>;

inline Made made(const std::string& spec, bool causal, int64_t heads = 2, int64_t kv_heads = 2,
                 int64_t d = 4, int64_t e = 3) {
  manual_seed(7);
  return nn::make_attention(
      spec,
      {.heads = heads, .kv_heads = kv_heads, .head_dim = d, .value_dim = e, .causal = causal});
}

inline AttentionCall with_mask(Mask mask) {
  AttentionCall call;
  call.mask = std::move(mask);
  return call;
}

struct Operands {
  Tensor q, k, v;
};
inline Operands operands(const nn::Attention& a, int64_t batch, int64_t t, int64_t s,
                         DType dtype = DType::f64, double scale = 0.7) {
  const nn::AttentionConfig& c = a.config();
  return {numbers({batch, c.heads, t, c.head_dim}, 1, dtype) * scale,
          numbers({batch, c.kv_heads, s, c.head_dim}, 2, dtype) * scale,
          numbers({batch, c.kv_heads, s, c.value_dim}, 3, dtype)};
}

inline Tensor wide(const Tensor& v, int64_t heads) {
  int64_t b = v.dim(0), kv = v.dim(1), s = v.dim(2), e = v.dim(3);
  return broadcast_to(v.unsqueeze(2), {b, kv, heads / kv, s, e}).reshape({b, heads, s, e});
}

inline std::vector<int64_t> upto(int64_t n) {
  std::vector<int64_t> out;
  for (int64_t i = 0; i < n; ++i) out.push_back(i);
  return out;
}

// forward = weights v = exact limit, for odd shapes, cross shapes, padding and offsets.
inline void check_maps(const std::string& spec, double tolerance = 1e-12) {
  for (bool causal : {false, true})
    for (auto [heads, kv, t, s] : std::vector<std::array<int64_t, 4>>{{2, 2, 5, 5},
                                                                      {4, 2, 3, 7},
                                                                      {3, 1, 6, 4},
                                                                      {1, 1, 1, 1},
                                                                      {2, 2, 130, 130},
                                                                      {2, 1, 65, 200},
                                                                      {2, 1, 200, 65}}) {
      Made a = made(spec, causal, heads, kv);
      if (t != s && !a->traits().cross) continue;
      INFO(spec << " causal " << causal << " " << t << " x " << s);
      auto [q, k, v] = operands(*a, 2, t, s);
      Mask padding =
          Mask::key_padding({0, std::min<int64_t>(1, s - 1)}, {s, std::max<int64_t>(1, s - 1)});
      std::vector<Mask> masks{Mask(), padding, padding & Mask::query_padding({t, t - 1})};
      if (t == s || a->traits().cross) masks.push_back(padding & Mask::offset({1, -2}));
      for (const Mask& mask : masks) {
        if (!causal && mask.terms().offset.defined()) continue;
        INFO(mask.to_string());
        AttentionCall call = with_mask(mask);
        Tensor out = a->forward(q, k, v, call);
        Tensor map = a->weights(q, k, call, upto(t));
        REQUIRE(difference(out, matmul(map, wide(v, heads))) < tolerance);
        REQUIRE(difference(a->exact_limit({})->reference(q, k, v, call), out) < tolerance);
        Tensor hidden = logical_not(mask.dense(2, t, s, kCpu, causal));
        REQUIRE(all_zero(where(hidden, map, 0.0)));
        if (a->traits().row_stochastic) {
          std::vector<double> sums = sum(map, {3}).to_vector();
          std::vector<double> seen =
              broadcast_to(sum(mask.dense(2, t, s, kCpu, causal).to(DType::f64), {3}),
                           {2, heads, t})
                  .to_vector();
          for (size_t i = 0; i < sums.size(); ++i)
            REQUIRE(std::fabs(sums[i] - (seen[i] > 0 ? 1 : 0)) < 1e-4);
        }
      }
      std::vector<int64_t> some{t - 1, 0};
      REQUIRE(difference(a->weights(q, k, {}, some),
                         index_select(a->weights(q, k, {}, upto(t)), 2, some)) < 1e-14);
    }
}

// A later token changes no earlier row, to the bit; the first token reaches the last row; the last
// causal row is the last row of the whole.
inline void check_causality(const std::string& spec, int64_t n = 70) {
  Made a = made(spec, true), whole = made(spec, false);
  auto [q, k, v] = operands(*a, 1, n, n);
  Tensor out = a->forward(q, k, v, {});
  for (int64_t changed : {n - 1, int64_t{64}, int64_t{3}})
    for (double size : {1.0, 30.0}) {
      INFO(spec << " token " << changed);
      Tensor k2 = k.clone(), v2 = v.clone();
      k2.slice(2, changed, changed + 1).fill_(size);
      v2.slice(2, changed, changed + 1).fill_(-9);
      Tensor after = a->forward(q, k2, v2, {});
      REQUIRE(after.slice(2, 0, changed).to_vector() == out.slice(2, 0, changed).to_vector());
      REQUIRE(difference(after.slice(2, n - 1, n), out.slice(2, n - 1, n)) > 1e-9);
    }
  Tensor v2 = v.clone();
  v2.slice(2, 0, 1).fill_(50);
  REQUIRE(difference(a->forward(q, k, v2, {}).slice(2, n - 1, n), out.slice(2, n - 1, n)) > 1e-6);
  REQUIRE(difference(whole->forward(q, k, v, {}).slice(2, n - 1, n), out.slice(2, n - 1, n)) <
          1e-12);
}

// NaN, and large numbers, at padded keys and queries reach neither outputs nor gradients.
inline void check_padding(const std::string& spec, bool causal) {
  double nan = std::numeric_limits<double>::quiet_NaN();
  Made a = made(spec, causal, 2, 2, 4, 4);
  int64_t n = 67;
  std::vector<int64_t> begin{0, 1, 4}, end{n - 3, n, 4};
  Mask mask = Mask::padding(begin, end);
  Tensor cotangent = numbers({3, 2, n, 4}, 9);
  auto run = [&](double garbage) {
    std::vector<Tensor> in;
    for (uint64_t i = 1; i <= 3; ++i) {
      Tensor x = with_garbage(numbers({3, n, 2, 4}, i), begin, end, garbage);
      in.push_back(x.permute({0, 2, 1, 3}).clone().detach().set_requires_grad(true));
    }
    Tensor out = a->forward(in[0], in[1], in[2], with_mask(mask));
    std::vector<Tensor> result = grad({out}, in, {cotangent});
    result.push_back(out);
    return result;
  };
  std::vector<Tensor> clean = run(0), dirty = run(nan), big = run(1e4);
  INFO(spec << " causal " << causal);
  for (size_t i = 0; i < clean.size(); ++i) {
    REQUIRE(all_finite(dirty[i]));
    REQUIRE(difference(dirty[i], clean[i]) == 0);
    REQUIRE(difference(big[i], clean[i]) == 0);
  }
  REQUIRE(all_zero(clean[3][0].slice(1, n - 3, n)));      // padded queries give 0
  REQUIRE(all_zero(clean[1][1].slice(1, 0, 1)));          // padded keys get gradient 0
  for (const Tensor& t : clean) REQUIRE(all_zero(t[2]));  // no key at all: zeros
  // What padding leaves is what the unpadded sequence gives.
  Tensor q = numbers({3, n, 2, 4}, 1).permute({0, 2, 1, 3}),
         k = numbers({3, n, 2, 4}, 2).permute({0, 2, 1, 3}),
         v = numbers({3, n, 2, 4}, 3).permute({0, 2, 1, 3});
  for (int64_t b : {0, 1}) {
    int64_t first = begin[static_cast<size_t>(b)], last = end[static_cast<size_t>(b)];
    auto part = [&](const Tensor& x) { return x.slice(0, b, b + 1).slice(2, first, last); };
    REQUIRE(difference(a->forward(part(q), part(k), part(v), {}), part(clean[3])) < 1e-12);
  }
}

// Decoding in any pieces equals forward; rows of unequal length, padding among new tokens.
inline void check_decoding(const std::string& spec) {
  int64_t n = 9;
  Made a = made(spec, true, 4, 2);
  auto [q, k, v] = operands(*a, 2, n, n);
  Tensor whole = a->forward(q, k, v, {});
  for (int64_t cut = 1; cut < n; ++cut)
    for (int64_t size : {int64_t{1}, int64_t{2}, n})
      for (bool absorbed : {false, true}) {
        INFO(spec << " cut " << cut << " size " << size);
        auto state = a->new_state(2, 1, DType::f64, kCpu);
        int64_t bytes = state->bytes();
        std::vector<Tensor> parts;
        auto piece = [](const Tensor& x, int64_t at, int64_t end) { return x.slice(2, at, end); };
        int64_t at = 0;
        if (absorbed) {
          a->absorb(piece(k, 0, cut), piece(v, 0, cut), {}, *state);
          parts.push_back(piece(whole, 0, cut)), at = cut;
        }
        while (at < n) {
          int64_t end = at == 0 ? cut : std::min(n, at + size);
          parts.push_back(
              a->step(piece(q, at, end), piece(k, at, end), piece(v, at, end), {}, *state));
          at = end;
        }
        REQUIRE(difference(concat(parts, 2), whole) < 1e-12);
        REQUIRE(state->bytes() == bytes);
        REQUIRE(state->lengths() == Lengths{n, n});
      }

  // Row 0 has 5 tokens, row 1 has 3 with one of padding before and one behind; then 2 and 1 new.
  double nan = std::numeric_limits<double>::quiet_NaN();
  auto put = [&](const Tensor& x, int64_t first, int64_t count, int64_t before, int64_t behind) {
    Tensor part = x.slice(2, first, first + count);
    return pad(pad(part, 2, before, 0, nan), 2, 0, behind, nan);
  };
  auto rows = [&](const Tensor& x, int64_t f0, int64_t n0, int64_t f1, int64_t n1, int64_t before,
                  int64_t behind) {
    return concat(
        {put(x.slice(0, 0, 1), f0, n0, 0, 0), put(x.slice(0, 1, 2), f1, n1, before, behind)}, 0);
  };
  auto state = a->new_state(2, 1, DType::f64, kCpu);
  a->absorb(rows(k, 0, 5, 0, 3, 1, 1), rows(v, 0, 5, 0, 3, 1, 1),
            with_mask(Mask::key_padding({0, 1}, {5, 4})), *state);
  REQUIRE(state->lengths() == Lengths{5, 3});
  auto other = state->clone();
  for (bool before : {false, true}) {  // padding among the new tokens, on either side
    int64_t left = before, right = !before;
    auto s = other->clone();
    Mask mask = Mask::padding({0, left}, {2, 1 + left});
    Tensor out = a->step(rows(q, 5, 2, 3, 1, left, right), rows(k, 5, 2, 3, 1, left, right),
                         rows(v, 5, 2, 3, 1, left, right), with_mask(mask), *s);
    REQUIRE(s->lengths() == Lengths{7, 4});
    REQUIRE(difference(out.slice(0, 0, 1), whole.slice(0, 0, 1).slice(2, 5, 7)) < 1e-12);
    REQUIRE(difference(out[1].slice(1, left, left + 1), whole[1].slice(1, 3, 4)) < 1e-12);
    REQUIRE(all_zero(out[1].slice(1, right, right + 1)));
  }
  // A row of padding alone stays as it was, to the bit.
  nn::StateDict held = state->save();
  a->absorb(rows(k, 5, 2, 3, 2, 0, 0), rows(v, 5, 2, 3, 2, 0, 0),
            with_mask(Mask::key_padding({2, 0})), *state);
  for (const auto& [name, tensor] : state->save())
    REQUIRE(tensor[1].to_vector() == held[name][1].to_vector());

  // select with repeats, save and load, absorbed keys alone.
  Tensor one = q.slice(2, 8, 9);
  auto copy = other->clone();
  copy->select({1, 1, 0});
  REQUIRE(copy->lengths() == Lengths{3, 3, 5});
  if (spec.find("cosformer") == std::string::npos) {
    Tensor three = a->step(concat({one.slice(0, 1, 2), one.slice(0, 1, 2), one.slice(0, 0, 1)}, 0),
                           Tensor(), Tensor(), {}, *copy);
    Tensor two = a->step(one, Tensor(), Tensor(), {}, *other);
    REQUIRE(difference(three[0], two[1]) < 1e-14);
    REQUIRE(difference(three[2], two[0]) < 1e-14);
    Made cross = made(spec, false, 4, 2);
    auto memory = cross->new_state(2, 1, DType::f64, kCpu);
    Mask mask = Mask::key_padding({5, 3});
    cross->absorb(k, v, with_mask(mask), *memory);
    REQUIRE(difference(cross->step(q, Tensor(), Tensor(), {}, *memory),
                       cross->forward(q, k, v, with_mask(mask))) < 1e-12);
  }
  auto loaded = a->new_state(2, 0, DType::f64, kCpu);
  loaded->load(other->save());
  AttentionCall none;
  auto again = other->clone();
  auto piece = [](const Tensor& x) { return x.slice(2, 3, 4); };
  REQUIRE(difference(a->step(piece(q), piece(k), piece(v), none, *loaded),
                     a->step(piece(q), piece(k), piece(v), none, *again)) == 0);
  REQUIRE_THROWS_SAYING(loaded->load({}), ValueError, "is missing");
  REQUIRE_THROWS_SAYING(loaded->select({2}), ValueError, "row 2");
  REQUIRE_THROWS_SAYING(a->absorb(k.to(DType::f32), v.to(DType::f32), {}, *loaded), DTypeError,
                        "the state holds f64");
  REQUIRE_THROWS_SAYING(a->absorb(k.slice(0, 0, 1), v.slice(0, 0, 1), {}, *loaded), ShapeError,
                        "2 rows expected");
  REQUIRE_THROWS_SAYING(a->step(q.slice(2, 0, 1), k.slice(2, 0, 2), v.slice(2, 0, 2), {}, *loaded),
                        ShapeError, "one key a query");
  REQUIRE_THROWS_SAYING(a->step(q.slice(2, 0, 2), Tensor(), Tensor(), {}, *loaded), ValueError,
                        "one at a time");
}

inline void check_gradients(const std::string& spec) {
  for (bool causal : {false, true})
    for (auto [t, s] : std::vector<std::array<int64_t, 2>>{{4, 4}, {2, 4}}) {
      Made a = made(spec, causal, 2, 1, 3, 2);
      if (t != s && !a->traits().cross) continue;
      INFO(spec << " causal " << causal << " " << t << " x " << s);
      auto [q, k, v] = operands(*a, 2, t, s);
      AttentionCall call = with_mask(Mask::key_padding({0, 1}, {s, s}));
      std::vector<Tensor> in;
      for (const Tensor& x : {q, k, v}) in.push_back(x.detach().clone().set_requires_grad(true));
      auto f = [&](const std::vector<Tensor>& x) { return a->forward(x[0], x[1], x[2], call); };
      GradcheckOptions strict;
      strict.absolute = 1e-7, strict.relative = 1e-6;
      GradcheckResult first = gradcheck(f, in, strict), second = gradgradcheck(f, in);
      INFO(first.message << second.message);
      REQUIRE(first);
      REQUIRE(second);
    }
}

// Other rows of the batch change nothing; empty sequences give zeros; f32 agrees with f64; sizes
// around the chunk.
inline void check_the_rest(const std::string& spec) {
  for (bool causal : {false, true}) {
    INFO(spec << " causal " << causal);
    Made a = made(spec, causal, 2, 1);
    auto [q, k, v] = operands(*a, 3, 5, 5);
    Tensor out = a->forward(q, k, v, {});
    Tensor k2 = k.clone();
    k2[1].fill_(40);
    REQUIRE(a->forward(q, k2, v, {})[0].to_vector() == out[0].to_vector());
    REQUIRE(a->forward(q, k2, v, {})[2].to_vector() == out[2].to_vector());
    auto none = [&](const Tensor& x) { return x.slice(2, 0, 0); };
    if (a->traits().cross) {
      REQUIRE(a->forward(none(q), k, v, {}).shape() == Shape{3, 2, 0, 3});
      REQUIRE(all_zero(a->forward(q, none(k), none(v), {})));
      REQUIRE(a->weights(q, none(k), {}, {0}).shape() == Shape{3, 2, 1, 0});
    }
    REQUIRE(a->forward(none(q), none(k), none(v), {}).shape() == Shape{3, 2, 0, 3});
    REQUIRE(a->weights(q, k, {}, {}).shape() == Shape{3, 2, 0, 5});
    REQUIRE_THROWS_SAYING(a->weights(q, k, {}, {5}), ValueError, "row 5");
    for (int64_t n : {1, 2, 3, 17, 63, 64, 65, 127, 129}) {
      auto [x, y, z] = operands(*a, 1, n, n);
      Tensor exact = a->forward(x, y, z, {});
      Tensor single =
          a->forward(x.to(DType::f32), y.to(DType::f32), z.to(DType::f32), {}).to(DType::f64);
      REQUIRE(difference(single, exact) < 1e-5);
    }
    AttentionCall bad;
    bad.dropout = 0.1f;
    REQUIRE_THROWS_SAYING(a->forward(q, k, v, bad), ValueError, "no map of weights");
    REQUIRE_THROWS_SAYING(a->forward(q, k, v, with_mask(Mask::window(1, 1))), ValueError,
                          "a pair mask or window is not supported");
    REQUIRE_THROWS_SAYING(a->forward(q, k, v, with_mask(Mask::added(zeros({5, 5}, DType::f64)))),
                          ValueError, "a bias on the scores is not supported");
  }
}

// Bytes of what a result keeps alive for backward, operands and result included.
inline int64_t kept_bytes(const Tensor& out, const std::vector<Tensor>& operands) {
  std::set<const Storage*> seen;
  int64_t bytes = 0;
  auto add = [&](const Array& a) {
    if (seen.insert(&a.storage()).second) bytes += static_cast<int64_t>(a.storage().bytes());
  };
  for (const Tensor& t : operands) add(t.array());
  add(out.array());
  std::set<Node*> nodes;
  std::vector<Node*> open{out.node().get()};
  while (!open.empty()) {
    Node* node = open.back();
    open.pop_back();
    if (!node || !nodes.insert(node).second) continue;
    for (const Node::Output& output : node->outputs)
      if (output.saved.defined()) add(output.saved);
    for (const Node::Edge& edge : node->inputs) {
      if (edge.saved.defined()) add(edge.saved.array());
      open.push_back(edge.node.get());
    }
  }
  return bytes;
}

// Cost::activation_bytes within 5 %.
inline void check_activations(const std::string& spec) {
  for (bool causal : {false, true})
    for (auto [heads, kv, d, e] :
         std::vector<std::array<int64_t, 4>>{{2, 2, 16, 16}, {4, 2, 32, 16}, {2, 1, 8, 24}}) {
      INFO(spec << " causal " << causal << " heads " << heads << " d " << d << " e " << e);
      Made a = made(spec, causal, heads, kv, d, e);
      auto [q, k, v] = operands(*a, 2, 256, 256, DType::f32);
      for (Tensor* t : {&q, &k, &v}) *t = t->detach().clone().set_requires_grad(true);
      double kept = static_cast<double>(kept_bytes(a->forward(q, k, v, {}), {q, k, v}));
      nn::AttentionShape shape{2, heads, kv, 256, 256, d, e};
      double said = static_cast<double>(a->cost(shape, nn::Pass::forward).activation_bytes);
      INFO("kept " << kept << ", the cost model says " << said);
      REQUIRE(std::fabs(said / kept - 1) < 0.05);
    }
}

// `smooth`: the spec for central differences, where `spec` itself divides by numbers near 0.
inline void check_variant(const std::string& spec, const std::string& smooth = "") {
  check_maps(spec);
  check_causality(spec);
  for (bool causal : {false, true}) check_padding(spec, causal);
  check_decoding(spec);
  check_gradients(smooth.empty() ? spec : smooth);
  check_the_rest(spec);
  check_activations(spec);
}

}  // namespace heed::test
