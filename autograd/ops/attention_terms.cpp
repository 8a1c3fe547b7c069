#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/block_layout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/views.h>

namespace heed {
namespace {

// A term with one integer a batch row, or one value for all.
class PerRow {
 public:
  PerRow(const Tensor& values, int64_t fallback) : fallback_(fallback) {
    if (values.defined()) array_ = values.array();
  }
  bool varies() const { return array_.defined(); }
  int64_t operator[](int64_t b) const {
    return varies() ? array_.data<int64_t>()[b * array_.strides()[0]] : fallback_;
  }

 private:
  Array array_;
  int64_t fallback_;
};

// [B or 1, 1, T, S]: j - i - offset.
template <class F>
Array relative_map(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype,
                   F&& set) {
  PerRow offset(terms.offset, s - t);
  int64_t rows = offset.varies() ? batch : 1;
  Array out = Array::empty({rows, 1, t, s}, dtype, kCpu);
  int64_t n = 0;
  for (int64_t b = 0; b < rows; ++b)
    for (int64_t i = 0; i < t; ++i)
      for (int64_t j = 0; j < s; ++j) set(out, n++, j - i - offset[b]);
  return out;
}

Tensor relative_bias(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s) {
  int64_t heads = terms.relative_bias.dim(0), buckets = terms.relative_bias.dim(1);
  Array index = relative_map(terms, batch, t, s, DType::i64, [&](Array& out, int64_t n, int64_t r) {
    out.data<int64_t>()[n] =
        relative_bucket(r, terms.relative_bidirectional, buckets, terms.relative_max_distance);
  });
  Tensor picked =
      index_select(terms.relative_bias, 1, Tensor(index.view({index.numel()})));  // [H, rows T S]
  return permute(reshape(picked, {heads, index.dim(0), t, s}), {1, 0, 2, 3});     // [rows, H, T, S]
}

Tensor alibi(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype) {
  Array distance =
      relative_map(terms, batch, t, s, DType::f64, [](Array& out, int64_t n, int64_t r) {
        out.data<double>()[n] = -std::abs(static_cast<double>(r));
      });
  Tensor slopes =
      reshape(cast(terms.alibi_slopes.detach(), DType::f64), {1, terms.alibi_slopes.dim(0), 1, 1});
  return cast(slopes * Tensor(distance), dtype);  // [rows, H, T, S]
}

}  // namespace

int64_t relative_bucket(int64_t relative, bool bidirectional, int64_t buckets,
                        int64_t max_distance) {
  int64_t first = 0;
  if (bidirectional) {
    buckets /= 2;
    if (relative > 0) first = buckets;
    relative = std::abs(relative);
  } else {
    relative = -std::min<int64_t>(relative, 0);
  }
  int64_t exact = buckets / 2;
  if (relative < exact) return first + relative;
  double ratio = static_cast<double>(relative) / static_cast<double>(exact);
  double range = static_cast<double>(max_distance) / static_cast<double>(exact);
  // The small addend keeps exact powers on their own side of the rounding.
  double step = std::log(ratio) / std::log(range) * static_cast<double>(buckets - exact) + 1e-9;
  return first + std::min(buckets - 1, exact + static_cast<int64_t>(step));
}

Tensor visible_pairs(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s) {
  PerRow key_begin(terms.key_begin, 0), key_end(terms.key_end, s);
  PerRow query_begin(terms.query_begin, 0), query_end(terms.query_end, t),
      offset(terms.offset, s - t);
  bool varies = key_begin.varies() || key_end.varies() || query_begin.varies() ||
                query_end.varies() || offset.varies();
  int64_t rows = varies ? batch : 1;
  Array out = Array::empty({rows, 1, t, s}, DType::boolean, kCpu);
  bool* visible = out.data<bool>();
  for (int64_t b = 0; b < rows; ++b)
    for (int64_t i = 0; i < t; ++i)
      for (int64_t j = 0; j < s; ++j) {
        int64_t relative = j - i - offset[b];
        bool keep = j >= key_begin[b] && j < key_end[b] && i >= query_begin[b] && i < query_end[b];
        keep = keep && (!terms.causal || relative <= 0);
        keep = keep && (terms.window_left < 0 || relative >= -terms.window_left);
        keep = keep && (terms.window_right < 0 || relative <= terms.window_right);
        *visible++ = keep;
      }
  Tensor result(out);
  if (terms.layout) result = logical_and(result, terms.layout->dense());
  return terms.pair_mask.defined() ? logical_and(result, terms.pair_mask) : result;
}

Tensor bias_terms(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype) {
  Tensor total;
  auto add_term = [&](const Tensor& term) { total = total.defined() ? total + term : term; };
  if (terms.alibi_slopes.defined()) add_term(alibi(terms, batch, t, s, dtype));
  if (terms.relative_bias.defined()) add_term(relative_bias(terms, batch, t, s));
  if (terms.bias.defined()) add_term(terms.bias);
  return total;
}

}  // namespace heed
