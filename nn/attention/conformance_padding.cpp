// Padding, the other items of a batch, rows that see no key, and NaN where it is seen.
#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

using Bounds = std::vector<int64_t>;

// Item b without its padding, repeated as every item of the batch: randomness may depend on b.
Triple alone(const Triple& in, size_t b, const Bounds& begin, const Bounds& end, bool pad_queries) {
  auto item = [&](const Tensor& x, bool cut) {
    Tensor only = repeat_item(x, static_cast<int64_t>(b), x.dim(0));
    return cut ? row_range(only, begin[b], end[b]) : only;
  };
  Triple t{item(in.q, pad_queries), item(in.k, true), item(in.v, true)};
  if (in.k.impl() == in.q.impl()) t.k = t.q;
  return t;
}

Tensor item_rows(const Tensor& x, int64_t b, int64_t begin, int64_t end) {
  return row_range(x.slice(0, b, b + 1), begin, end);
}

// Padded items against the items alone, and against padding of other content.
void padded_equals_alone(Case& c, const Attention& a, int64_t queries, int64_t keys,
                         const Bounds& begin, const Bounds& end, bool pad_queries,
                         const std::string& where) {
  auto batch = static_cast<int64_t>(begin.size());
  Triple in = c.inputs(a.config(), batch, queries, keys);
  Mask mask = Mask::key_padding(begin, end);
  if (pad_queries) mask = mask & Mask::query_padding(begin, end);
  Tensor cotangent = c.cotangent(a, in);
  auto with = [&](double garbage) {
    Triple t = in;
    if (pad_queries) t.q = with_padding(in.q, begin, end, garbage);
    t.k = in.k.impl() == in.q.impl() ? t.q : with_padding(in.k, begin, end, garbage);
    t.v = with_padding(in.v, begin, end, garbage);
    return c.evaluate(a, t, c.call(mask), cotangent);
  };
  Evaluation clean = with(0);
  c.same(with(1e4), clean, where + ", 1e4 in the padding");
  c.same(with(std::numeric_limits<double>::quiet_NaN()), clean, where + ", NaN in the padding");

  std::vector<Tensor> parameters(clean.parameters.size());
  for (size_t b = 0; b < begin.size(); ++b) {
    auto row = static_cast<int64_t>(b);
    int64_t first = pad_queries ? begin[b] : 0, last = pad_queries ? end[b] : queries;
    Triple single = alone(in, b, begin, end, pad_queries);
    Tensor own = repeat_item(row_range(cotangent, first, last), row, batch);
    for (int64_t other = 0; other < batch; ++other)
      if (other != row) own.slice(0, other, other + 1).fill_(0);
    Evaluation p = c.evaluate(a, single, c.call(), own);
    double bound = c.tolerance(static_cast<double>(keys));
    std::string item = str(where, ", item of ", end[b] - begin[b], " tokens: ");
    auto compare = [&](const Tensor& whole, const Tensor& part, int64_t from, int64_t to,
                       const char* what) {
      c.close(item_rows(whole, row, from, to), part.slice(0, row, row + 1), bound,
              item + what + " differs from the item alone");
      c.zero(item_rows(whole, row, 0, from), item + what + " before the tokens");
      c.zero(item_rows(whole, row, to, whole.dim(2)), item + what + " after the tokens");
    };
    compare(clean.out, p.out, first, last, "output");
    compare(clean.q, p.q, first, last, "gradient of q");
    compare(clean.k, p.k, begin[b], end[b], "gradient of k");
    compare(clean.v, p.v, begin[b], end[b], "gradient of v");
    for (size_t i = 0; i < parameters.size(); ++i)
      parameters[i] = b == 0 ? p.parameters[i] : parameters[i] + p.parameters[i];
  }
  for (size_t i = 0; i < parameters.size(); ++i)
    c.close(clean.parameters[i], parameters[i], c.tolerance(static_cast<double>(4 * keys)),
            str(where, ": gradient of parameter ", i, " differs from the sum over items alone"));
}

void padding_of(Case& c, const Bounds& begin, const Bounds& end) {
  constexpr int64_t n = 11;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    padded_equals_alone(c, *a, n, n, begin, end, true, causal ? "causal" : "self");
    if (!causal && c.traits.cross && !c.traits.shared_qk)
      padded_equals_alone(c, *a, 5, n, begin, end, false, "cross");
  }
}

}  // namespace

void check_padding(Case& c) {
  c.require_trait(c.traits.key_padding, "key_padding");
  padding_of(c, {0, 0, 0}, {11, 6, 1});
}

void check_left_padding(Case& c) {
  c.require_trait(c.traits.left_padding, "left_padding");
  padding_of(c, {0, 5, 10}, {11, 11, 11});
  padding_of(c, {2, 0, 4}, {9, 11, 5});
}

void check_batch(Case& c) {
  constexpr int64_t n = 11;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 3, n, n);
    Tensor cotangent = c.cotangent(*a, in);
    auto first = [](Evaluation p) {  // what belongs to item 0
      for (Tensor* t : {&p.out, &p.q, &p.k, &p.v}) *t = t->slice(0, 0, 1);
      p.parameters.clear();
      return p;
    };
    Evaluation expected = first(c.evaluate(*a, in, c.call(), cotangent));
    auto changed = [&](double scale, bool other_numbers) {
      Triple other = c.inputs(a->config(), 3, n, n, other_numbers ? 6 : 0);
      auto mix = [&](const Tensor& mine, const Tensor& theirs) {
        return concat({mine.slice(0, 0, 1), scale * theirs.slice(0, 1, 3)}, 0);
      };
      Triple t{mix(in.q, other.q), mix(in.k, other.k), mix(in.v, other.v)};
      if (c.traits.shared_qk) t.k = t.q;
      return first(c.evaluate(*a, t, c.call(), cotangent));
    };
    std::string form = causal ? "causal: " : "";
    c.same(changed(1, true), expected, form + "other items with other numbers");
    c.same(changed(30, false), expected, form + "other items 30 times as large (peaked)");
    c.same(changed(1e3, true), expected, form + "other items 1000 times as large");
    c.same(changed(0, false), expected, form + "other items zero");
  }
}

void check_masked_rows(Case& c) {
  constexpr int64_t n = 7;
  bool cross_causal = c.traits.causal && c.traits.cross && !c.traits.shared_qk;
  if (!c.traits.key_padding && !c.traits.pair_mask && !cross_causal)
    c.not_applicable("traits: neither key padding nor pair masks nor causal cross-attention");
  auto item_zero = [&](const Evaluation& p, int64_t b, const std::string& where) {
    for (const Tensor& t : p.all()) c.finite(t, where + ": not finite");
    for (const Tensor* t : {&p.out, &p.q, &p.k, &p.v}) c.zero(t->slice(0, b, b + 1), where);
  };
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, n, n);
    Tensor cotangent = c.cotangent(*a, in);
    std::string form = causal ? "causal, " : "";
    if (c.traits.key_padding) {
      AttentionCall call = c.call(Mask::key_padding({n, 0}));
      item_zero(c.evaluate(*a, in, call, cotangent), 1, form + "all keys are padding");
      Evaluation both = c.evaluate(*a, in, c.call(Mask::key_padding({0, 0})), cotangent);
      for (const Tensor& t : both.all()) c.zero(t, form + "all keys of all items are padding");
      if (c.traits.weights)
        c.zero(a->weights(in.q, in.k, call, {0, n - 1}).slice(0, 1, 2), form + "weights");
    }
    if (c.traits.pair_mask) {
      Tensor keep = less(zeros({n, n}, DType::f64), 1.0);
      keep.slice(0, 2, 3).fill_(0);  // row 2 sees nothing
      Evaluation p = c.evaluate(*a, in, c.call(Mask::pairs(keep)), cotangent);
      for (const Tensor& t : p.all()) c.finite(t, form + "pair mask: not finite");
      c.zero(row_range(p.out, 2, 3), form + "row hidden by a pair mask");
      if (!c.traits.shared_qk) c.zero(row_range(p.q, 2, 3), form + "gradient of a hidden row");
    }
    if (causal && cross_causal) {  // four more queries than keys: the first four see no key
      Triple more = c.inputs(a->config(), 2, n + 4, n);
      Tensor far = c.cotangent(*a, more);
      if (c.refuses([&] { a->forward(more.q, more.k, more.v, c.call()); })) continue;
      Evaluation p = c.evaluate(*a, more, c.call(), far);
      for (const Tensor& t : p.all()) c.finite(t, "more queries than keys: not finite");
      c.zero(row_range(p.out, 0, 4), "rows before the first key");
      c.zero(row_range(p.q, 0, 4), "gradient of rows before the first key");
    }
  }
}

void check_nan(Case& c) {
  constexpr int64_t n = 11, at = 5;
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, n, n);
    auto spoiled = [&](const Tensor& x) {  // one number of item 0 in each head
      Tensor copy = x.clone();
      copy.slice(0, 0, 1).slice(2, at, at + 1).slice(3, 0, 1).fill_(kNan);
      return copy;
    };
    // In every head for a query; a key need be within reach in one head only.
    auto shown = [&](Triple t, int64_t row, const std::string& what, bool every_head) {
      if (in.k.impl() == in.q.impl()) t.k = t.q;
      std::string where = str(causal ? "causal: " : "", "NaN in ", what, ": row ", row);
      Tensor out;
      try {
        out = a->forward(t.q, t.k, t.v, c.call());
      } catch (const NumericError&) {
        return c.require(true, where);  // a variant that computes on the host may say so at once
      }
      int64_t heads = 0;
      for (int64_t h = 0; h < out.dim(1); ++h) {
        Tensor head = out.slice(0, 0, 1).slice(1, h, h + 1);  // [1, 1, T, E]
        std::vector<double> values = row_range(head, row, row + 1).to_vector();
        heads += std::any_of(values.begin(), values.end(), [](double x) { return std::isnan(x); });
      }
      c.require(heads >= (every_head ? out.dim(1) : 1), where + " does not show it");
      c.finite(out.slice(0, 1, 2), where + ": it is in another item too");
    };
    shown({spoiled(in.q), in.k, in.v}, at, "a query", true);
    for (int64_t i = 0; i < n; ++i) {
      std::vector<int64_t> keys = a->reach(in.q, in.k, c.call(), i);
      if (std::find(keys.begin(), keys.end(), at) == keys.end()) continue;
      shown({in.q, in.k, spoiled(in.v)}, i, "a value", false);
      if (in.k.impl() != in.q.impl()) shown({in.q, spoiled(in.k), in.v}, i, "a key", false);
    }
  }
}

}  // namespace heed::nn::conformance
