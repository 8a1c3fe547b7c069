// Fused attention against three loops; attention_test.cpp has every term, padding and NaN.
#include <cmath>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

constexpr double kScale = 0.6;

// Operands q, k, v and, where `biased`, a bias of the map's full shape. `parts`: one more channel,
// the sum of exponentials.
Naive attention(bool causal, bool biased, bool parts) {
  return [=](const std::vector<Values>& in) {
    const Values &q = in[0], &k = in[1], &v = in[2];
    int64_t t = q.shape[2], s = k.shape[2], group = q.shape[1] / k.shape[1];
    int64_t e = v.shape[3];
    Values out(Shape{q.shape[0], q.shape[1], t, parts ? e + 1 : e});
    for (int64_t b = 0; b < q.shape[0]; ++b)
      for (int64_t h = 0; h < q.shape[1]; ++h)
        for (int64_t i = 0; i < t; ++i) {
          double total = 0;
          for (int64_t j = 0; j < s; ++j) {
            if (causal && j - i > s - t) continue;
            double score = biased ? in[3]({b, h, i, j}) : 0;
            for (int64_t c = 0; c < q.shape[3]; ++c)
              score += kScale * q({b, h, i, c}) * k({b, h / group, j, c});
            total += std::exp(score);
            for (int64_t c = 0; c < v.shape[3]; ++c)
              out({b, h, i, c}) += std::exp(score) * v({b, h / group, j, c});
          }
          for (int64_t c = 0; c < v.shape[3]; ++c)
            if (total > 0) out({b, h, i, c}) /= total;
          if (parts) out({b, h, i, e}) = total;
        }
    return out;
  };
}

// e^lse beside the output: finite where there is no key.
Tensor joined(const AttentionParts& parts) {
  Tensor out = parts.out.to(parts.lse.dtype());  // lse is f32 beside bf16
  return concat({out, exp(parts.lse).unsqueeze(3)}, 3);
}

OpCase fused(bool causal, bool biased, bool parts = false) {
  OpCase c;
  c.op = parts ? "fused_attention_parts" : "fused_attention";
  c.label = str(causal ? "causal" : "full", biased ? ", bias" : "");
  struct Size {
    int64_t b, h, kv, t, s, d, e;
  };
  for (Size z :
       {Size{1, 2, 1, 3, 4, 2, 3}, Size{2, 1, 1, 5, 2, 3, 1}, Size{1, 1, 1, 1, 1, 1, 1},
        Size{1, 1, 1, 2, 0, 2, 2}, Size{2, 4, 2, 17, 33, 8, 24}, Size{1, 2, 2, 70, 65, 31, 17}}) {
    std::vector<Shape> shapes{{z.b, z.h, z.t, z.d}, {z.b, z.kv, z.s, z.d}, {z.b, z.kv, z.s, z.e}};
    if (biased) shapes.push_back({z.b, z.h, z.t, z.s});
    c.shapes.push_back(shapes);
  }
  c.operands = std::vector<Operand>(biased ? 4 : 3, in_range(-1, 1));
  c.terms = 8;
  auto run = [=](auto form) {
    return [=](const std::vector<Tensor>& in) {
      AttentionTerms terms;
      terms.causal = causal;
      if (biased) terms.bias = in[3];
      FusedAttentionOptions options{.scale = kScale};
      if constexpr (std::is_same_v<decltype(form), decltype(&fused_attention)>)
        return form(in[0], in[1], in[2], terms, options);
      else return joined(form(in[0], in[1], in[2], terms, options));
    };
  };
  c.run = parts ? run(&fused_attention_parts) : Run(run(&fused_attention));
  c.reference =
      parts ? run(&fused_attention_parts_reference) : Run(run(&fused_attention_reference));
  c.naive = attention(causal, biased, parts);
  return c;
}

// Operands out and lse of two parts.
OpCase merged() {
  OpCase c;
  c.op = "merge_attention";
  for (Shape s : {Shape{1, 2, 3}, Shape{2, 1, 1}, Shape{1, 1, 0}, Shape{2, 3, 65}}) {
    Shape out = s;
    out.push_back(5);
    c.shapes.push_back({out, s, out, s});
  }
  c.operands = std::vector<Operand>(4, in_range(-2, 2));
  c.run = [](const std::vector<Tensor>& in) {
    AttentionParts all = merge_attention({in[0], in[1]}, {in[2], in[3]});
    return concat({all.out, all.lse.unsqueeze(3)}, 3);
  };
  c.naive = [](const std::vector<Values>& in) {
    Shape shape = in[0].shape;
    int64_t e = shape[3];
    shape[3] = e + 1;
    Values out(shape);
    for (int64_t b = 0; b < shape[0]; ++b)
      for (int64_t h = 0; h < shape[1]; ++h)
        for (int64_t i = 0; i < shape[2]; ++i) {
          double x = std::exp(in[1]({b, h, i})), y = std::exp(in[3]({b, h, i}));
          for (int64_t n = 0; n < e; ++n)
            out({b, h, i, n}) = (x * in[0]({b, h, i, n}) + y * in[2]({b, h, i, n})) / (x + y);
          out({b, h, i, e}) = std::log(x + y);
        }
    return out;
  };
  return c;
}

// Operands out, lse and the sinks.
OpCase sunk() {
  OpCase c;
  c.op = "with_sinks";
  for (Shape s : {Shape{1, 2, 3}, Shape{2, 1, 1}, Shape{1, 1, 0}, Shape{2, 3, 65}}) {
    Shape out = s;
    out.push_back(5);
    c.shapes.push_back({out, s, {s[1]}});
  }
  c.operands = std::vector<Operand>(3, in_range(-2, 2));
  c.terms = 15;  // the gradient of a sink is a sum of as many and more
  c.run = [](const std::vector<Tensor>& in) { return with_sinks({in[0], in[1]}, in[2]); };
  c.naive = [](const std::vector<Values>& in) {
    Values out = in[0];
    for (int64_t b = 0; b < out.shape[0]; ++b)
      for (int64_t h = 0; h < out.shape[1]; ++h)
        for (int64_t i = 0; i < out.shape[2]; ++i) {
          double total = std::exp(in[1]({b, h, i}));
          for (int64_t n = 0; n < out.shape[3]; ++n)
            out({b, h, i, n}) *= total / (total + std::exp(in[2]({h})));
        }
    return out;
  };
  return c;
}

// Operands q, k, v and, where `weighted`, alpha and beta.
OpCase prefix(bool weighted, bool reverse) {
  OpCase c;
  c.op = "prefix_product";
  c.label = str(reverse ? "reverse" : "forward", weighted ? ", exponents" : "");
  struct Size {
    Shape batch, key_batch;
    int64_t n, r, e;
  };
  for (const Size& z :
       {Size{{1}, {1}, 3, 2, 2}, Size{{2, 2}, {2, 1}, 2, 3, 1}, Size{{1}, {1}, 0, 2, 3},
        Size{{1}, {1}, 1, 1, 1}, Size{{2, 3}, {2, 1}, 130, 7, 5}, Size{{2}, {2}, 65, 33, 17}}) {
    auto shape = [&](Shape s, int64_t columns) {
      s.push_back(z.n);
      s.push_back(columns);
      return s;
    };
    std::vector<Shape> shapes{shape(z.batch, z.r), shape(z.key_batch, z.r),
                              shape(z.key_batch, z.e)};
    if (weighted) shapes.insert(shapes.end(), {shape(z.batch, 1), shape(z.key_batch, 1)});
    c.shapes.push_back(shapes);
  }
  c.operands = std::vector<Operand>(weighted ? 5 : 3, in_range(-1, 1));
  c.terms = 65;
  auto run = [=](auto form) {
    return [=](const std::vector<Tensor>& in) {
      return weighted ? form(in[0], in[1], in[2], in[3], in[4], reverse)
                      : form(in[0], in[1], in[2], Tensor(), Tensor(), reverse);
    };
  };
  c.run = run(prefix_product);
  c.reference = run(prefix_product_reference);
  return c;
}

OpCase counted(const std::string& op, std::function<int64_t()> custom) {
  OpCase c;
  c.op = op;
  c.custom = std::move(custom);
  return c;
}

void expect(bool holds, const std::string& what) {
  if (!holds) throw Error(what);
}

int64_t buckets_grow_with_distance() {
  int64_t before = 0;
  for (int64_t r = 0; r < 300; ++r) {
    int64_t bucket = relative_bucket(-r, false, 32, 128);
    expect(bucket == before || bucket == before + 1, str("relative_bucket: ", bucket, " at -", r));
    before = bucket;
  }
  expect(before == 31, "relative_bucket: the last bucket is never reached");
  return 300;
}

int64_t pairs_follow_the_offset() {
  AttentionTerms terms;
  terms.causal = true;
  terms.window_left = 1;
  std::vector<double> visible = visible_pairs(terms, 1, 2, 4, kCpu).to_vector();
  std::vector<double> want{0, 1, 1, 0, 0, 0, 1, 1};  // S - T = 2: the last query sees the last key
  expect(visible == want, "visible_pairs: wrong map");
  return 8;
}

int64_t biases_add_up() {
  AttentionTerms terms;
  terms.alibi_slopes = full({1}, 0.5);
  terms.bias = full({2, 2}, 3, DType::f64);
  std::vector<double> bias = bias_terms(terms, 1, 2, 2, DType::f64).to_vector();
  expect(bias == std::vector<double>{3, 2.5, 2.5, 3}, "bias_terms: wrong sum");
  return 4;
}

int64_t check_refuses() {
  try {
    check_attention(ones({1, 1, 2, 3}), ones({1, 1, 2, 4}), ones({1, 1, 2, 3}), {}, {});
  } catch (const ShapeError&) {
    return 1;
  }
  throw Error("check_attention: unequal channels passed");
}

int64_t terms_refuse() {
  AttentionTerms terms;
  terms.key_end = {1, 2, 3};
  check_terms(terms, {3, 1, 2, 2}, DType::f64, "op");
  try {
    check_terms(terms, {2, 1, 2, 2}, DType::f64, "op");
  } catch (const ShapeError&) {
    return 1;
  }
  throw Error("check_terms: padding for another batch passed");
}

// Number by number: three tokens, exponents on.
int64_t naive_prefix() {
  std::vector<double> q{1, -2, 3}, k{2, 1, -1}, v{1, 5, 2}, a{0, 0.5, -1}, b{-1, 0.25, 0};
  auto column = [](const std::vector<double>& x) { return Tensor::from(x, {3, 1}); };
  for (bool reverse : {false, true}) {
    std::vector<double> y =
        prefix_product_reference(column(q), column(k), column(v), column(a), column(b), reverse)
            .to_vector();
    for (size_t i = 0; i < 3; ++i) {
      double want = 0;
      for (size_t j = 0; j < 3; ++j)
        if (reverse ? j >= i : j <= i) want += std::exp(a[i] + b[j]) * q[i] * k[j] * v[j];
      expect(std::fabs(y[i] - want) < 1e-12, "prefix_product_reference: wrong sum");
    }
  }
  return 6;
}

}  // namespace

std::vector<OpCase> sparse_attention_cases();  // opcases_sparse_attention.cpp
std::vector<OpCase> pairwise_cases();          // opcases_pairwise.cpp

std::vector<OpCase> attention_cases() {
  std::vector<OpCase> list = {fused(false, false),
                              fused(true, false),
                              fused(true, true),
                              fused(false, true, true),
                              fused(true, false, true),
                              merged(),
                              sunk(),
                              prefix(false, false),
                              prefix(false, true),
                              prefix(true, false),
                              prefix(true, true),
                              counted("prefix_product_reference", naive_prefix),
                              counted("relative_bucket", buckets_grow_with_distance),
                              counted("visible_pairs", pairs_follow_the_offset),
                              counted("bias_terms", biases_add_up),
                              counted("check_attention", check_refuses),
                              counted("check_terms", terms_refuse)};
  for (OpCase& c : sparse_attention_cases()) list.push_back(std::move(c));
  for (OpCase& c : pairwise_cases()) list.push_back(std::move(c));
  return list;
}

}  // namespace heed::test
