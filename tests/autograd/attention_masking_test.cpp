// What attention must not see: padding with garbage and NaN, rows without a key, later keys, empty
// operands, operands that do not fit.
#include <heed/tests/autograd/attention_cases.h>

namespace heed::attention_test {
namespace {

TEST_CASE("attention: empty operands", "[attention]") {
  check({.t = 3, .s = 0});
  check({.t = 0, .s = 3});
  check({.b = 0});
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
          Array keep = Array::zeros({2, 1, t, s}, DType::boolean, kCpu);
          for (int64_t b = 0; b < 2; ++b)
            for (int64_t i = qb[b]; i < qe[b]; ++i)
              for (int64_t j = kb[b]; j < ke[b]; ++j) keep.data<bool>()[(b * t + i) * s + j] = true;
          c.terms.pair_mask = Tensor(keep);
        } else {
          c.terms.key_begin = kb;
          c.terms.key_end = ke;
          c.terms.query_begin = qb;
          c.terms.query_end = qe;
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
    c.terms.key_end = {0, 40};
    c.terms.causal = true;
    c.terms.offset = {0, -5};  // the first five queries of item 1 see nothing
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
    terms.key_end = {1, 2, 3};
    REQUIRE_THROWS_SAYING(call(), ShapeError, "key padding for 3 rows, but the batch has 2");
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
}  // namespace heed::attention_test
