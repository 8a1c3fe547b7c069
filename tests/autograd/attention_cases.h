// What the tests of fused attention share: a case, both forms run on it with gradients, every term.
#pragma once

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

namespace heed::attention_test {

inline constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

inline Tensor normal(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  return Tensor(random_normal(shape, 0, 1, {seed, 0}, dtype));
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

inline Tensor convert(const Tensor& x, DType dtype) {
  return x.defined() ? cast(x.detach(), dtype).detach() : x;
}

// Output and gradients for a fixed random cotangent.
inline Outcome run(Form form, const Case& c, const std::vector<Tensor>& qkv,
                   const Tensor& cotangent, DType dtype) {
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
inline void require_near(const Tensor& a, const Tensor& b, double tolerance, double floor,
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

inline std::vector<Tensor> operands(const Case& c, uint64_t seed = 1) {
  return {normal({c.b, c.h, c.t, c.d}, seed), normal({c.b, c.kv, c.s, c.d}, seed + 1),
          normal({c.b, c.kv, c.s, c.e}, seed + 2)};
}

inline void check(const Case& c, std::vector<Tensor> qkv = {}) {
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

inline std::vector<std::pair<std::string, AttentionTerms>> all_terms(int64_t b, int64_t h,
                                                                     int64_t t, int64_t s) {
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
    x.key_begin = begin;
    x.key_end = end;
  };
  auto relative = [&](AttentionTerms& x) {
    x.relative_bias = normal({h, 8}, 21);
    x.relative_max_distance = 20;
  };
  auto alibi = [&](AttentionTerms& x) {
    x.alibi_slopes = Tensor::from(std::vector<double>(static_cast<size_t>(h), 0.25), {h});
  };
  Array pairs = Array::empty({b, h, t, s}, DType::boolean, kCpu);
  Array uniform = random_uniform({b, h, t, s}, 0, 1, {31, 0}, DType::f64);
  for (int64_t n = 0; n < pairs.numel(); ++n)
    pairs.data<bool>()[n] = uniform.data<double>()[n] < 0.6;
  Tensor mask(pairs);
  add_case("none", [](AttentionTerms&) {});
  add_case("causal", [](AttentionTerms& x) { x.causal = true; });
  add_case("key padding", padding);
  add_case("query padding", [&](AttentionTerms& x) {
    x.query_begin = qbegin;
    x.query_end = qend;
  });
  add_case("window", [](AttentionTerms& x) {
    x.window_left = 3;
    x.window_right = 1;
  });
  add_case("causal window, offset", [&](AttentionTerms& x) {
    x.causal = true;
    x.window_left = 4;
    x.offset = offset;
  });
  add_case("alibi", alibi);
  add_case("relative bias", relative);
  add_case("relative bias one way, offset", [&](AttentionTerms& x) {
    relative(x);
    x.relative_bidirectional = false;
    x.causal = true;
    x.offset = offset;
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
    x.query_end = qend;
    x.causal = true;
    x.window_left = 40;
    x.offset = offset;
    x.pair_mask = mask;
    x.bias = normal({b, 1, t, s}, 41);
  });
  return list;
}

}  // namespace heed::attention_test
