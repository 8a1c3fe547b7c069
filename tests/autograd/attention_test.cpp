// The fused kernel against its composition in double, values and gradients, over odd shapes and
// every term; closed forms; padding with garbage and NaN; strides; instruction sets; determinism.
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/backends/kernel.h>
#include <heed/tests/support/catch.h>

namespace heed {
namespace {

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  return Tensor(random_normal(shape, 0, 1, {seed, 0}, dtype));
}

Tensor rows(std::vector<int64_t> values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

struct Case {
  int64_t b = 2, h = 3, kv = 3, t = 5, s = 5, d = 4, e = 4;
  AttentionTerms terms = {};
  FusedAttentionOptions options{.scale = 0.5, .dropout = 0, .key = {7, 3}};
};

struct Outcome {
  Tensor out;
  std::vector<Tensor> gradients;  // q, k, v, relative bias, bias
};

using Form = Tensor (*)(const Tensor&, const Tensor&, const Tensor&, const AttentionTerms&,
                        const FusedAttentionOptions&);

Tensor convert(const Tensor& x, DType dtype) {
  return x.defined() ? cast(x.detach(), dtype).detach() : x;
}

// Output and gradients for a fixed random cotangent.
Outcome run(Form form, const Case& c, const std::vector<Tensor>& qkv, const Tensor& cotangent,
            DType dtype) {
  std::vector<Tensor> in;
  for (const Tensor& x : qkv) in.push_back(convert(x, dtype).clone().set_requires_grad(true));
  AttentionTerms terms = c.terms;
  for (Tensor* term : {&terms.relative_bias, &terms.bias})
    if (term->defined()) {
      *term = convert(*term, dtype).clone().set_requires_grad(true);
      in.push_back(*term);
    }
  Outcome r;
  r.out = form(in[0], in[1], in[2], terms, c.options);
  r.gradients = grad({r.out}, in, {convert(cotangent, dtype)});
  return r;
}

// RMS(a - b) <= tolerance max(RMS(b), floor).
void require_near(const Tensor& a, const Tensor& b, double tolerance, double floor,
                  const char* what) {
  REQUIRE(a.shape() == b.shape());
  std::vector<double> x = a.to_vector(), y = b.to_vector();
  double error = 0, size = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    error += (x[i] - y[i]) * (x[i] - y[i]);
    size += y[i] * y[i];
  }
  double n = std::max<double>(1, static_cast<double>(x.size()));
  INFO(what << ": error " << std::sqrt(error / n) << ", size " << std::sqrt(size / n));
  REQUIRE(std::sqrt(error / n) <= tolerance * std::max(std::sqrt(size / n), floor));
}

std::vector<Tensor> operands(const Case& c, uint64_t seed = 1) {
  return {normal({c.b, c.h, c.t, c.d}, seed), normal({c.b, c.kv, c.s, c.d}, seed + 1),
          normal({c.b, c.kv, c.s, c.e}, seed + 2)};
}

void check(const Case& c, std::vector<Tensor> qkv = {}) {
  if (qkv.empty()) qkv = operands(c);
  Tensor cotangent = normal({c.b, c.h, c.t, c.e}, 9);
  INFO("B" << c.b << " H" << c.h << "/" << c.kv << " T" << c.t << " S" << c.s << " D" << c.d << " E"
           << c.e);
  for (DType dtype : {DType::f64, DType::f32}) {
    double tolerance = dtype == DType::f64 ? 1e-12 : 2e-6;
    INFO(to_string(dtype));
    // Both see the same rounded operands, so that only the arithmetic differs.
    std::vector<Tensor> rounded;
    for (const Tensor& x : qkv) rounded.push_back(convert(convert(x, dtype), DType::f64));
    Case exact = c;
    exact.terms.relative_bias = convert(convert(c.terms.relative_bias, dtype), DType::f64);
    exact.terms.bias = convert(convert(c.terms.bias, dtype), DType::f64);
    Outcome want = run(fused_attention_reference, exact, rounded,
                       convert(convert(cotangent, dtype), DType::f64), DType::f64);
    Outcome got = run(fused_attention, c, qkv, cotangent, dtype);
    require_near(got.out, want.out, tolerance, 1e-2, "output");
    const char* names[] = {"dq", "dk", "dv", "dterm", "dterm"};
    for (size_t i = 0; i < want.gradients.size(); ++i) {
      // A term's gradient is a sum over the pairs that share it, zero for some by softmax's nature.
      double pairs = static_cast<double>(c.b * c.h * c.t * c.s);
      double terms = i < 3 ? 1 : pairs / static_cast<double>(want.gradients[i].numel());
      require_near(got.gradients[i], want.gradients[i], 2 * tolerance * std::sqrt(terms),
                   i < 3 ? 1e-2 : 1e-1, names[i]);
    }
  }
}

std::vector<std::pair<std::string, AttentionTerms>> all_terms(int64_t b, int64_t h, int64_t t,
                                                              int64_t s) {
  std::vector<std::pair<std::string, AttentionTerms>> list;
  auto add_case = [&](std::string name, auto set) {
    AttentionTerms terms;
    set(terms);
    list.emplace_back(std::move(name), terms);
  };
  std::vector<int64_t> begin, end, qbegin, qend, offset;
  for (int64_t n = 0; n < b; ++n) {
    begin.push_back(n % 2 ? s / 3 : 0);
    end.push_back(n % 2 ? s : s - s / 4);
    qbegin.push_back(n % 2 ? t / 4 : 0);
    qend.push_back(n % 2 ? t : t - t / 3);
    offset.push_back(n % 2 ? 2 : s - t - 1);
  }
  auto padding = [&](AttentionTerms& x) {
    x.key_begin = rows(begin);
    x.key_end = rows(end);
  };
  auto relative = [&](AttentionTerms& x) {
    x.relative_bias = normal({h, 8}, 21);
    x.relative_max_distance = 20;
  };
  auto alibi = [&](AttentionTerms& x) {
    x.alibi_slopes = Tensor::from(std::vector<double>(static_cast<size_t>(h), 0.25), {h});
  };
  Array pairs = Array::empty({b, h, t, s}, DType::boolean);
  Array uniform = random_uniform({b, h, t, s}, 0, 1, {31, 0}, DType::f64);
  for (int64_t n = 0; n < pairs.numel(); ++n)
    pairs.data<bool>()[n] = uniform.data<double>()[n] < 0.6;
  Tensor mask(pairs);
  add_case("none", [](AttentionTerms&) {});
  add_case("causal", [](AttentionTerms& x) { x.causal = true; });
  add_case("key padding", padding);
  add_case("query padding", [&](AttentionTerms& x) {
    x.query_begin = rows(qbegin);
    x.query_end = rows(qend);
  });
  add_case("window", [](AttentionTerms& x) {
    x.window_left = 3;
    x.window_right = 1;
  });
  add_case("causal window, offset", [&](AttentionTerms& x) {
    x.causal = true;
    x.window_left = 4;
    x.offset = rows(offset);
  });
  add_case("alibi", alibi);
  add_case("relative bias", relative);
  add_case("relative bias one way, offset", [&](AttentionTerms& x) {
    relative(x);
    x.relative_bidirectional = false;
    x.causal = true;
    x.offset = rows(offset);
  });
  add_case("pair mask", [&](AttentionTerms& x) { x.pair_mask = mask; });
  add_case("pair mask [T, S]", [&](AttentionTerms& x) { x.pair_mask = mask[0][0]; });
  add_case("bias", [&](AttentionTerms& x) { x.bias = normal({b, h, t, s}, 41); });
  add_case("bias [H, T, S]", [&](AttentionTerms& x) { x.bias = normal({h, t, s}, 41); });
  add_case("bias [B, 1, 1, S]", [&](AttentionTerms& x) { x.bias = normal({b, 1, 1, s}, 41); });
  add_case("bias [T, 1]", [&](AttentionTerms& x) { x.bias = normal({t, 1}, 41); });
  add_case("all", [&](AttentionTerms& x) {
    padding(x);
    relative(x);
    alibi(x);
    x.query_end = rows(qend);
    x.causal = true;
    x.window_left = 40;
    x.offset = rows(offset);
    x.pair_mask = mask;
    x.bias = normal({b, 1, t, s}, 41);
  });
  return list;
}

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

TEST_CASE("attention: empty operands", "[attention]") {
  check({.t = 3, .s = 0});
  check({.t = 0, .s = 3});
  check({.b = 0});
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
    terms.key_end = rows({7, 4});
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

// Overwrites the rows outside [begin, end) of a batch row.
Tensor with_rows(const Tensor& x, int64_t b, int64_t begin, int64_t end, double value) {
  Tensor y = x.clone().detach();
  for (int64_t i = 0; i < x.dim(2); ++i)
    if (i < begin || i >= end) y[b].slice(1, i, i + 1).fill_(value);
  return y;
}

TEST_CASE("attention: what is padded reaches nothing", "[attention]") {
  for (int64_t t : {3, 30, 70})
    for (bool as_pairs : {false, true})
      for (double garbage : {1e4, kNaN}) {
        int64_t s = t + 9;
        INFO("T " << t << " garbage " << garbage << (as_pairs ? " pair mask" : " ranges"));
        Case c{.t = t, .s = s, .d = 24, .e = 16};
        std::vector<int64_t> kb{0, 5}, ke{s - 7, s}, qb{1, 0}, qe{t, t - 1};
        if (as_pairs) {
          Array keep = Array::zeros({2, 1, t, s}, DType::boolean);
          for (int64_t b = 0; b < 2; ++b)
            for (int64_t i = qb[b]; i < qe[b]; ++i)
              for (int64_t j = kb[b]; j < ke[b]; ++j) keep.data<bool>()[(b * t + i) * s + j] = true;
          c.terms.pair_mask = Tensor(keep);
        } else {
          c.terms.key_begin = rows(kb);
          c.terms.key_end = rows(ke);
          c.terms.query_begin = rows(qb);
          c.terms.query_end = rows(qe);
        }
        std::vector<Tensor> clean = operands(c), dirty = clean;
        Tensor cotangent = normal({2, 3, t, 16}, 9), dirty_cotangent = cotangent;
        for (int64_t b = 0; b < 2; ++b) {
          dirty[0] = with_rows(dirty[0], b, qb[b], qe[b], garbage);
          dirty[1] = with_rows(dirty[1], b, kb[b], ke[b], garbage);
          dirty[2] = with_rows(dirty[2], b, kb[b], ke[b], garbage);
          dirty_cotangent = with_rows(dirty_cotangent, b, qb[b], qe[b], 1e4);
        }
        for (Form form : {&fused_attention, &fused_attention_reference})
          for (DType dtype : {DType::f32, DType::f64}) {
            Outcome want = run(form, c, clean, cotangent, dtype),
                    got = run(form, c, dirty, dirty_cotangent, dtype);
            REQUIRE(got.out.to_vector() == want.out.to_vector());
            for (size_t i = 0; i < 3; ++i)
              REQUIRE(got.gradients[i].to_vector() == want.gradients[i].to_vector());
            // Zero exactly where nothing is visible.
            for (int64_t b = 0; b < 2; ++b) {
              for (double x : got.out[b].slice(1, 0, qb[b]).to_vector()) REQUIRE(x == 0);
              for (double x : got.gradients[0][b].slice(1, qe[b], t).to_vector()) REQUIRE(x == 0);
              for (double x : got.gradients[1][b].slice(1, ke[b], s).to_vector()) REQUIRE(x == 0);
              for (double x : got.gradients[2][b].slice(1, 0, kb[b]).to_vector()) REQUIRE(x == 0);
            }
          }
      }
}

TEST_CASE("attention: items without a visible key", "[attention]") {
  for (int64_t t : {2, 40}) {
    Case c{.t = t, .s = 40};
    c.terms.key_end = rows({0, 40});
    c.terms.causal = true;
    c.terms.offset = rows({0, -5});  // the first five queries of item 1 see nothing
    check(c);
    Outcome r = run(fused_attention, c, operands(c), normal({2, 3, t, 4}, 9), DType::f32);
    for (double x : r.out[0].to_vector()) REQUIRE(x == 0);
    for (double x : r.gradients[1][0].to_vector()) REQUIRE(x == 0);
    for (double x : r.out[1].slice(1, 0, std::min<int64_t>(t, 5)).to_vector()) REQUIRE(x == 0);
  }
}

TEST_CASE("attention: causal rows do not depend on later keys, to the bit", "[attention]") {
  Case c{.t = 100, .s = 100, .d = 16, .e = 16};
  c.terms.causal = true;
  std::vector<Tensor> a = operands(c), b = a;
  for (size_t i : {1, 2}) {
    b[i] = a[i].clone().detach();
    b[i].slice(2, 50, 100).fill_(1e3);
  }
  auto rows_before = [&](const std::vector<Tensor>& x) {
    return fused_attention(x[0], x[1], x[2], c.terms, c.options).slice(2, 0, 50).to_vector();
  };
  REQUIRE(rows_before(a) == rows_before(b));
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

TEST_CASE("attention: bad operands", "[attention]") {
  Tensor q = normal({2, 4, 3, 8}, 1), k = normal({2, 2, 5, 8}, 2), v = normal({2, 2, 5, 6}, 3);
  AttentionTerms terms = {};
  auto call = [&] { fused_attention(q, k, v, terms, {}); };
  SECTION("rank") {
    q = normal({3, 8}, 1);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "q is [3, 8]");
  }
  SECTION("channels") {
    k = normal({2, 2, 5, 7}, 1);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "8 != 7");
  }
  SECTION("heads") {
    q = normal({2, 3, 3, 8}, 1);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "2 key heads do not divide 3");
  }
  SECTION("positions") {
    v = normal({2, 2, 4, 6}, 1);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "k and v differ");
  }
  SECTION("batch") {
    q = normal({1, 4, 3, 8}, 1);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "batch sizes differ");
  }
  SECTION("dtype") {
    k = normal({2, 2, 5, 8}, 1, DType::f32);
    REQUIRE_THROWS_SAYING(call(), DTypeError, "k is f32 but q is f64");
  }
  SECTION("padding") {
    terms.key_end = rows({1, 2, 3});
    REQUIRE_THROWS_SAYING(call(), ShapeError, "key_end is [3]");
  }
  SECTION("mask type") {
    terms.pair_mask = ones({3, 5});
    REQUIRE_THROWS_SAYING(call(), DTypeError, "true = keep");
  }
  SECTION("bias") {
    terms.bias = ones({3, 4}, DType::f64);
    REQUIRE_THROWS_SAYING(call(), ShapeError, "[2, 4, 3, 5]");
  }
  SECTION("slopes") {
    terms.alibi_slopes = ones({3});
    REQUIRE_THROWS_SAYING(call(), ShapeError, "one a head");
  }
  SECTION("table") {
    terms.relative_bias = ones({4, 2}, DType::f64);
    REQUIRE_THROWS_SAYING(call(), ValueError, "2 relative buckets");
  }
  SECTION("undefined") {
    v = Tensor();
    REQUIRE_THROWS_SAYING(call(), ValueError, "v is undefined");
  }
  SECTION("dropout") {
    REQUIRE_THROWS_SAYING(fused_attention(q, k, v, terms, {.dropout = 1.5}), ValueError, "1.5");
  }
}

}  // namespace
}  // namespace heed
