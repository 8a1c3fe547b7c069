// What a row sees: none of its future, all of its reach; and causal rows equal restricted ones.
#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

constexpr int64_t kWide = 32;  // the features of wide keys differ by many powers of e

// Directions that the variant distinguishes: the axes, and rows of its parameters and buffers that
// have the length of a key. [R, D]
Tensor directions(const Attention& a, DType dtype) {
  int64_t d = a.config().head_dim;
  std::vector<Tensor> rows{eye(d, dtype)};
  NamedTensors tensors = a.named_parameters();
  for (const auto& entry : a.named_buffers()) tensors.push_back(entry);
  for (const auto& [name, tensor] : tensors) {
    Tensor t = tensor.detach();
    if (t.dtype() != dtype || t.numel() == 0) continue;
    for (int axis = t.rank() - 1; axis >= 0; --axis)
      if (t.dim(axis) == d) {
        rows.push_back(t.transpose(axis, -1).reshape({-1, d}));
        break;
      }
  }
  return concat(rows, 0);
}

// [B, H, N, D]: token n is `factor` times a direction, a different one for each token and head.
Tensor aligned(const Tensor& directions, const Shape& shape, double factor, int64_t shift) {
  int64_t tokens = shape.numel() / shape[3];
  std::vector<Tensor> rows;
  for (int64_t i = 0; i < tokens; ++i)
    rows.push_back(directions[(directions.dim(0) - 1 - (i * 7 + shift) % directions.dim(0))]);
  return factor * stack(rows, 0).reshape(shape);
}

struct Content {
  std::string name;
  Triple tokens;
};

// Contents that the future may have.
std::vector<Content> futures(const Case& c, const Attention& a, const Triple& in) {
  const Shape& shape = in.k.shape();
  bool shared = in.q.impl() == in.k.impl();
  Triple other = c.inputs(a.config(), in.q.dim(0), in.q.dim(2), in.k.dim(2), 5);
  std::vector<Content> list;
  auto add = [&](const std::string& name, const Tensor& k, double value_scale) {
    Triple t{shared ? k : other.q, k, value_scale * other.v};
    if (shared) t.k = t.q;
    list.push_back({name, t});
  };
  add("random", other.k, 1);
  add("random, 1000 times as large", 1000.0 * other.k, 1e4);
  add("zero", 0.0 * other.k, 0);
  add("50 times the first query", broadcast_to(50.0 * in.q.slice(1, 0, 1).slice(2, 0, 1), shape),
      1);
  Tensor rows = directions(a, c.dtype);
  double root = std::pow(static_cast<double>(a.config().head_dim), 0.25);
  for (double factor : {1.0, root, 8.0, -8.0, 60.0})
    for (int64_t shift : {0, 3})
      add(str("along projections and axes, times ", factor), aligned(rows, shape, factor, shift),
          1);
  return list;
}

// Rows [0, cut) of the queries, and the keys they may see: [0, cut + S - T).
void causality_of(Case& c, const Attention& a, int64_t queries, int64_t keys) {
  Triple in = c.inputs(a.config(), 2, queries, keys);
  Tensor before = a.forward(in.q, in.k, in.v, c.call());
  Tensor cotangent = c.cotangent(a, in);
  for (const Content& future : futures(c, a, in))
    for (int64_t cut : {int64_t{1}, queries / 2, queries - 1}) {
      int64_t seen = std::clamp<int64_t>(cut + keys - queries, 0, keys);
      std::string where =
          str(queries, " queries, ", keys, " keys, ", future.name, " from token ", cut, " on");
      Triple changed;
      changed.q = with_tokens(in.q, 2, cut, queries, future.tokens.q);
      changed.k = in.k.impl() == in.q.impl() ? changed.q
                                             : with_tokens(in.k, 2, seen, keys, future.tokens.k);
      changed.v = with_tokens(in.v, 2, seen, keys, future.tokens.v);
      Tensor early = with_tokens(cotangent, 2, cut, queries, zeros(cotangent.shape(), c.dtype));
      Evaluation p = c.evaluate(a, changed, c.call(), early);
      c.finite(p.out, where + ": output not finite");
      c.same(row_range(p.out, 0, cut), row_range(before, 0, cut), where + ": earlier rows change");
      c.zero(row_range(p.q, cut, queries), where + ": gradient of later queries");
      c.zero(row_range(p.k, seen, keys), where + ": gradient of later keys");
      c.zero(row_range(p.v, seen, keys), where + ": gradient of later values");
    }
}

double row_change(const Attention& a, const Triple& changed, const AttentionCall& call,
                  const Tensor& before, int64_t row) {
  Tensor after = a.forward(changed.q, changed.k, changed.v, call);
  auto of = [&](const Tensor& x) { return row_range(x, row, row + 1).slice(0, 0, 1); };
  return largest_difference(of(after), of(before));
}

}  // namespace

void check_causality(Case& c) {
  c.require_trait(c.traits.causal, "causal");
  AttentionConfig config = c.config(true, 16);
  config.head_dim = config.value_dim = kWide;
  auto a = c.make(config);
  causality_of(c, *a, 11, 11);
  if (!c.traits.cross || c.traits.shared_qk) return;
  for (auto [queries, keys] : {std::pair<int64_t, int64_t>{5, 9}, {9, 5}}) {
    Triple in = c.inputs(config, 2, queries, keys);
    if (!c.refuses([&] { a->forward(in.q, in.k, in.v, c.call()); }))
      causality_of(c, *a, queries, keys);
  }
}

void check_reach(Case& c) {
  constexpr int64_t n = 11;
  // The value changes so much that a weight of 1e-8 (f64) or 1e-5 (f32) on it is noticed.
  double far = 1000, least = c.dtype == DType::f64 ? 1e-5 : 1e-2;
  for (bool causal : c.forms) {
    AttentionConfig config = c.config(causal, 16);
    config.head_dim = kWide;
    if (c.value_dim == 4) config.value_dim = kWide;
    auto a = c.make(config);
    Triple in = c.inputs(config, 2, n, n);
    AttentionCall call = c.call();
    // Scores of order 1 for every variant: the question is which keys enter, not how sharp the
    // softmax is. Without 1 / sqrt(D), some weights would be too small to tell from 0 in f32.
    if (c.traits.scale) call.scale = 1 / std::sqrt(static_cast<float>(kWide));
    Tensor before = a->forward(in.q, in.k, in.v, call);
    bool several = false;
    double by_key = 0, by_query = 0;
    for (int64_t i : {int64_t{0}, n / 2, n - 1}) {
      std::vector<int64_t> keys = a->reach(in.q, in.k, call, i);
      std::string row = str(causal ? "causal, row " : "row ", i);
      c.require(!keys.empty(), row + ": the declared reach is empty");
      for (int64_t j : keys) {
        Triple moved = in;
        moved.v = with_tokens(in.v, 2, j, j + 1, in.v + far);
        c.at_least(row_change(*a, moved, call, before, i), least,
                   str(row, ": value ", j, " is within reach but changes nothing"));
        if (keys.size() < 2) continue;
        several = true;
        moved = in;
        moved.k = with_tokens(in.k, 2, j, j + 1, -in.k);
        if (c.traits.shared_qk) moved.q = moved.k;
        by_key = std::max(by_key, row_change(*a, moved, call, before, i));
        moved = in;
        moved.q = with_tokens(in.q, 2, i, i + 1, -in.q);
        if (c.traits.shared_qk) moved.k = moved.q;
        by_query = std::max(by_query, row_change(*a, moved, call, before, i));
      }
    }
    if (!several) continue;
    c.at_least(by_key, 1e-6, "no key within reach changes any row");
    c.at_least(by_query, 1e-6, "no query changes its row");
  }
}

void check_prefix(Case& c) {
  c.require_trait(c.traits.causal, "causal");
  if (!c.has_form(false)) c.not_applicable("there is no non-causal form");
  c.require_trait(c.traits.prefix, "prefix");
  constexpr int64_t n = 11;
  auto causal = c.make(c.config(true, 16));
  auto open = c.make_like(*causal, c.config(false, 16));
  Triple in = c.inputs(c.config(true, 16), 2, n, n);
  Tensor rows = causal->forward(in.q, in.k, in.v, c.call());  // [B, H, N, E]
  for (int64_t i = 0; i < n; ++i) {
    Tensor q = row_range(in.q, 0, i + 1), k = row_range(in.k, 0, i + 1);
    if (c.traits.shared_qk) k = q;
    Tensor part = open->forward(q, k, row_range(in.v, 0, i + 1), c.call());
    c.close(row_range(rows, i, i + 1), row_range(part, i, i + 1), c.tolerance(n),
            str("causal row ", i, " differs from the non-causal form on its prefix"));
  }
}

// Item 0 is two keys earlier than usual, item 1 one key later.
void check_offset(Case& c) {
  c.require_trait(c.traits.causal, "causal");
  constexpr int64_t n = 9;
  auto a = c.make(c.config(true, 16));
  Triple in = c.inputs(a->config(), 2, n, n);
  AttentionCall call = c.call(Mask::offset({-2, 1}));
  std::string message;
  if (c.refuses([&] { a->forward(in.q, in.k, in.v, call); }, &message)) {
    c.require(message.find("offset") != std::string::npos, "refused, but not for the offset");
    return;
  }
  Tensor out = a->forward(in.q, in.k, in.v, call);
  auto item = [](const Tensor& x, int64_t b) { return x.slice(0, b, b + 1); };
  c.zero(row_range(item(out, 0), 0, 2), "rows that stand before the first key");
  if (c.traits.shared_qk) return;
  auto against = [&](int64_t b, int64_t first, int64_t last, int64_t keys) {
    Tensor expected = a->forward(row_range(in.q, first, last), row_range(in.k, 0, keys),
                                 row_range(in.v, 0, keys), c.call());
    c.close(row_range(item(out, b), first, last), item(expected, b), c.tolerance(n),
            str("rows ", first, " to ", last, " beside the same on ", keys, " keys"));
  };
  against(0, 2, n, n - 2);
  if (c.traits.cross) against(1, 0, n - 1, n);
}

}  // namespace heed::nn::conformance
