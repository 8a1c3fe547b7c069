// What the variant computes: its exact limit, its linearity, its map.
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn::conformance {

namespace {

struct LimitSetting {
  std::string name;
  bool causal;
  int64_t queries, keys;
  bool padded = false, tied = false;
};

// Makes neighbouring keys equal: selections must break the tie, and softmax must not change.
Tensor tied_tokens(const Tensor& x) {
  std::vector<int64_t> index;
  for (int64_t j = 0; j < x.dim(2); ++j) index.push_back(j - j % 2);
  return index_select(x, 2, index);
}

void limit_of(Case& c, const LimitSetting& s) {
  constexpr int64_t batch = 2;
  AttentionConfig config = c.config(s.causal, std::max(s.queries, s.keys));
  AttentionShape shape{.batch = batch,
                       .heads = config.heads,
                       .kv_heads = config.kv_heads,
                       .queries = s.queries,
                       .keys = s.keys,
                       .head_dim = config.head_dim,
                       .value_dim = config.value_dim,
                       .dtype = c.dtype};
  std::optional<ExactLimit> limit = c.make_plain(config)->exact_limit(shape);
  if (!limit) c.not_applicable("no exact limit is declared");
  config.options = limit->options;
  auto a = c.make_plain(config);
  if (limit->prepare) limit->prepare(*a);
  a->to(c.dtype);  // prepare may have written f32
  Triple in = c.inputs(config, batch, s.queries, s.keys);
  if (s.tied) {
    in.k = tied_tokens(in.k);
    if (c.traits.shared_qk) in.q = in.k;
  }
  Mask mask;
  if (s.padded) {
    mask = Mask::key_padding({s.keys, s.keys - 2});
    if (s.queries == s.keys) mask = mask & Mask::query_padding({s.keys, s.keys - 2});
  }
  Tensor cotangent = c.cotangent(*a, in);
  Evaluation got = c.evaluate(*a, in, c.call(mask), cotangent);

  auto leaf = [](const Tensor& x) { return x.detach().clone().set_requires_grad(true); };
  Tensor q = leaf(in.q), k = c.traits.shared_qk ? q : leaf(in.k), v = leaf(in.v);
  Tensor expected = limit->reference(q, k, v, c.call(mask));
  double stated = c.dtype == DType::f64 ? limit->tolerance_f64 : limit->tolerance_f32;
  double bound = stated * std::sqrt(static_cast<double>(s.keys));
  c.close(got.out, expected, bound, s.name + ": output differs from the reference");
  // At ties a selection has no derivative.
  if (s.tied || c.traits.gradient == GradientKind::surrogate) return;
  std::vector<Tensor> g = grad({expected}, {q, k, v}, {cotangent}, {.allow_unused = true});
  const char* const names[] = {"q", "k", "v"};
  const Tensor* mine[] = {&got.q, &got.k, &got.v};
  for (size_t i = 0; i < 3; ++i) {
    if (i == 1 && c.traits.shared_qk) continue;
    Tensor there = g[i].defined() ? g[i] : zeros(mine[i]->shape(), c.dtype);
    c.close(*mine[i], there, bound, str(s.name, ": gradient of ", names[i]));
  }
}

}  // namespace

void check_exact_limit(Case& c) {
  bool cross = c.traits.cross && !c.traits.shared_qk;
  for (bool causal : c.forms) {
    std::string form = causal ? "causal" : "self";
    limit_of(c, {form, causal, 7, 7});
    limit_of(c, {form + ", tied keys", causal, 8, 8, false, true});
    if (c.traits.key_padding) limit_of(c, {form + ", padded", causal, 7, 7, true});
    if (cross && !causal) {
      limit_of(c, {"cross", causal, 3, 8});
      if (c.traits.key_padding) limit_of(c, {"cross, padded", causal, 9, 6, true});
    }
  }
}

void check_linearity(Case& c) {
  constexpr int64_t n = 11;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, n, n);
    Tensor other = c.inputs(a->config(), 2, n, n, 4).v;
    auto of = [&](const Tensor& v) { return a->forward(in.q, in.k, v, c.call()); };
    c.close(of(2.0 * in.v - 3.0 * other), 2.0 * of(in.v) - 3.0 * of(other), c.tolerance(4 * n),
            str(causal ? "causal: " : "", "O(2 V1 - 3 V2) differs from 2 O(V1) - 3 O(V2)"));
  }
}

void check_row_sums(Case& c) {
  c.require_trait(c.traits.row_stochastic, "row_stochastic");
  constexpr int64_t n = 11;
  for (bool causal : c.forms)
    for (bool padded : {false, true}) {
      if (padded && !c.traits.key_padding) continue;
      auto a = c.make(c.config(causal, 16));
      Triple in = c.inputs(a->config(), 2, n, n);
      in.v = ones(in.v.shape(), c.dtype);
      // Queries are padded too: every remaining row sees its own token, however local it is.
      AttentionCall call = c.call(padded ? Mask::padding({n, 4}) : Mask());
      Tensor out = a->forward(in.q, in.k, in.v, call), expected = ones(out.shape(), c.dtype);
      if (padded) expected.slice(0, 1, 2).slice(2, 4, n).fill_(0);
      c.close(out, expected, c.tolerance(n),
              str(causal ? "causal, " : "", padded ? "padded: " : "", "V = 1 does not give 1"));
    }
}

void check_permutation(Case& c) {
  c.require_trait(c.traits.permutation, "permutation");
  if (!c.has_form(false)) c.not_applicable("there is no non-causal form");
  constexpr int64_t n = 11;
  auto a = c.make(c.config(false, 16));
  Triple in = c.inputs(a->config(), 2, n, n);
  std::vector<int64_t> order;
  for (int64_t i = 0; i < n; ++i) order.push_back((i * 7 + 3) % n);
  auto permuted = [&](const Tensor& x) { return index_select(x, 2, order); };
  Tensor out = a->forward(in.q, in.k, in.v, c.call());
  if (!c.traits.shared_qk) {
    c.close(a->forward(in.q, permuted(in.k), permuted(in.v), c.call()), out, c.tolerance(n),
            "keys and values in another order change the output");
    c.close(a->forward(permuted(in.q), in.k, in.v, c.call()), permuted(out), c.tolerance(n),
            "queries in another order do not permute the output");
    return;
  }
  Tensor q = permuted(in.q);
  c.close(a->forward(q, q, permuted(in.v), c.call()), permuted(out), c.tolerance(n),
          "tokens in another order do not permute the output");
}

void check_weights(Case& c) {
  c.require_trait(c.traits.weights, "weights");
  constexpr int64_t n = 9;
  for (bool causal : c.forms)
    for (bool masked : {false, true}) {
      if (masked && !c.traits.key_padding) continue;
      auto a = c.make(c.config(causal, 16));
      Triple in = c.inputs(a->config(), 2, n, n);
      Mask mask = masked ? Mask::padding({n, 5}) : Mask();
      if (masked && c.traits.pair_mask) mask = mask & Mask::window(4, 3);
      AttentionCall call = c.call(mask);
      Tensor map = a->weights(in.q, in.k, call, all_rows(n));  // [B, H, N, N]
      Tensor out = a->forward(in.q, in.k, in.v, call);
      std::string form = str(causal ? "causal, " : "", masked ? "masked: " : "");
      c.close(matmul(map, in.v), out, c.tolerance(n), form + "weights V differs from forward");
      std::vector<int64_t> some{n - 1, 0, 3, 3};
      c.close(a->weights(in.q, in.k, call, some), index_select(map, 2, some), c.tolerance(n),
              form + "some rows differ from the same rows of the whole map");
      Tensor hidden = logical_not(broadcast_to(mask.dense(2, n, n, kCpu, causal), map.shape()));
      c.zero(where(hidden, map, 0.0), form + "weight of a hidden pair");
      c.require(a->weights(in.q, in.k, call, {}).shape() == Shape{2, 2, 0, n},
                form + "weights of no rows");
      if (c.traits.row_stochastic) {
        double least = min(map.reshape({-1}), 0).item();
        c.at_least(least, 0, form + "a weight is negative");
        Tensor sums = sum(map, {3});  // [B, H, N]
        Tensor expected = ones(sums.shape(), c.dtype);
        if (masked) expected.slice(0, 1, 2).slice(2, 5, n).fill_(0);
        c.close(sums, expected, c.tolerance(n), form + "rows of weights do not sum to 1");
      }
      std::string message;
      c.require(c.refuses([&] { a->weights(in.q, in.k, call, {n}); }, &message),
                "weights of a row that does not exist: " + message);
    }
}

// A fused kernel against its composition, with full tiles, remainders, and every term of the mask.
void check_reference(Case& c) {
  if (!c.entry.reference) c.not_applicable("the entry names no reference: nothing is fused");
  for (bool causal : c.forms)
    for (auto [queries, keys] : {std::pair<int64_t, int64_t>{11, 11}, {70, 70}, {5, 130}}) {
      if (queries != keys && (!c.traits.cross || c.traits.shared_qk)) continue;
      AttentionConfig config = c.config(causal, 130);
      config.heads = 4;
      config.kv_heads = c.traits.grouped_heads ? 2 : 4;
      auto a = c.make(config);
      Triple in = c.inputs(config, 2, queries, keys);
      std::vector<AttentionCall> calls{c.call()};
      if (c.traits.key_padding) calls.push_back(c.call(Mask::key_padding({keys, keys / 2})));
      if (c.traits.pair_mask) {
        Tensor keep = less(c.normal({queries, keys}, 71), 0.5);
        calls.push_back(c.call(Mask::window(9, 3)));
        calls.push_back(c.call(Mask::pairs(keep)));
      }
      if (c.traits.bias)
        calls.push_back(c.call(Mask::relative(c.normal({4, 8}, 72), true, 16) &
                               Mask::alibi(Tensor::from({0.5f, 0.25f, 0.125f, 0.1f}, {4}))));
      if (c.traits.weight_dropout) {
        calls.push_back(c.call());
        calls.back().dropout = 0.3f;
      }
      Tensor cotangent = c.cotangent(*a, in);
      for (const AttentionCall& call : calls) {
        auto leaf = [](const Tensor& x) { return x.detach().clone().set_requires_grad(true); };
        Tensor q = leaf(in.q), k = c.traits.shared_qk ? q : leaf(in.k), v = leaf(in.v);
        Tensor out = c.entry.reference(*a, q, k, v, call);
        std::vector<Tensor> g = grad({out}, {q, k, v}, {cotangent}, {.allow_unused = true});
        Evaluation p = c.evaluate(*a, in, call, cotangent);
        double bound = c.tolerance(static_cast<double>(keys));
        std::string where = str(causal ? "causal, " : "", queries, " queries, ", keys, " keys, ",
                                call.dropout > 0 ? "dropout" : call.mask.to_string());
        c.close(p.out, out, bound, where + ": output");
        c.close(p.q, g[0], bound, where + ": gradient of q");
        if (!c.traits.shared_qk) c.close(p.k, g[1], bound, where + ": gradient of k");
        c.close(p.v, g[2], bound, where + ": gradient of v");
      }
    }
}

// The same layer and inputs in f32 and in f64.
void check_precision(Case& c) {
  if (c.dtype == DType::f64) c.not_applicable("compares f32 with f64");
  constexpr int64_t n = 33;
  for (bool causal : c.forms)
    for (bool padded : {false, true}) {
      if (padded && !c.traits.key_padding) continue;
      auto narrow = c.make(c.config(causal, 40)), wide = c.make_like(*narrow, narrow->config());
      wide->to(DType::f64);
      Triple in = c.inputs(narrow->config(), 2, n, n), in64;
      in64.q = in.q.to(DType::f64);
      in64.k = c.traits.shared_qk ? in64.q : in.k.to(DType::f64);
      in64.v = in.v.to(DType::f64);
      AttentionCall call = c.call(padded ? Mask::padding({n, 20}) : Mask());
      Tensor cotangent = c.cotangent(*narrow, in);
      std::vector<Tensor> a = c.evaluate(*narrow, in, call, cotangent).all();
      std::vector<Tensor> b = c.evaluate(*wide, in64, call, cotangent.to(DType::f64)).all();
      const char* const names[] = {"output", "gradient of q", "gradient of k", "gradient of v"};
      for (size_t i = 0; i < a.size(); ++i)
        c.close(a[i].to(DType::f64), b[i].to(DType::f64), c.tolerance(n),
                str(causal ? "causal, " : "", padded ? "padded, " : "",
                    i < 4 ? names[i] : "gradient of a parameter", ": f32 differs from f64"));
    }
}

}  // namespace heed::nn::conformance
