#include <heed/autograd/ops/attention_terms.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/ops/block_layout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/plan.h>

namespace heed {
namespace {

// [B or 1, 1, T, S]: j - i - offset.
template <class F>
Array relative_map(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype,
                   F&& set) {
  int64_t rows = terms.offset.defined() ? batch : 1;
  Array out = Array::empty({rows, 1, t, s}, dtype, kCpu);
  int64_t n = 0;
  for (int64_t b = 0; b < rows; ++b) {
    int64_t offset = terms.offset.defined() ? terms.offset[b] : s - t;
    for (int64_t i = 0; i < t; ++i)
      for (int64_t j = 0; j < s; ++j) set(out, n++, j - i - offset);
  }
  return out;
}

Tensor relative_bias(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s) {
  int64_t heads = terms.relative_bias.dim(0), buckets = terms.relative_bias.dim(1);
  Array index = relative_map(terms, batch, t, s, DType::i64, [&](Array& out, int64_t n, int64_t r) {
    out.data<int64_t>()[n] =
        relative_bucket(r, terms.relative_bidirectional, buckets, terms.relative_max_distance);
  });
  Tensor picked = index_select(
      terms.relative_bias, 1,
      Tensor(plan_on(index.view({index.numel()}), terms.relative_bias.device())));  // [H, rows T S]
  return permute(reshape(picked, {heads, index.dim(0), t, s}), {1, 0, 2, 3});  // [rows, H, T, S]
}

Tensor alibi(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s, DType dtype) {
  Array distance =
      relative_map(terms, batch, t, s, DType::f64, [](Array& out, int64_t n, int64_t r) {
        out.data<double>()[n] = -std::abs(static_cast<double>(r));
      });
  Tensor slopes =
      reshape(cast(terms.alibi_slopes.detach(), DType::f64), {1, terms.alibi_slopes.dim(0), 1, 1});
  return cast(slopes * Tensor(plan_on(distance, slopes.device())), dtype);  // [rows, H, T, S]
}

void require_rows(const Lengths& x, const char* name, int64_t batch, const char* who) {
  if (x.defined() && x.size() != batch)
    throw ShapeError(str(who, ": ", name, " for ", x.size(), " rows, but the batch has ", batch));
}

void require_map(const Tensor& x, const char* name, const Shape& map, const char* who) {
  if (!broadcastable_to(x.shape(), map))
    throw ShapeError(str(who, ": ", name, " ", x.shape(), " does not broadcast to ", map));
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
  // 1e-9 keeps exact powers on the right side of the rounding.
  double step = std::log(ratio) / std::log(range) * static_cast<double>(buckets - exact) + 1e-9;
  return first + std::min(buckets - 1, exact + static_cast<int64_t>(step));
}

Tensor visible_pairs(const AttentionTerms& terms, int64_t batch, int64_t t, int64_t s,
                     Device device) {
  bool varies = terms.key_begin.defined() || terms.key_end.defined() ||
                terms.query_begin.defined() || terms.query_end.defined() || terms.offset.defined();
  int64_t rows = varies ? batch : 1;
  Ranges keys = ranges_of(terms.key_begin, terms.key_end, rows, s);
  Ranges queries = ranges_of(terms.query_begin, terms.query_end, rows, t);
  Array out = Array::empty({rows, 1, t, s}, DType::boolean, kCpu);
  bool* visible = out.data<bool>();
  for (size_t b = 0; b < keys.begin.size(); ++b) {
    int64_t offset = terms.offset.defined() ? terms.offset.values()[b] : s - t;
    for (int64_t i = 0; i < t; ++i)
      for (int64_t j = 0; j < s; ++j) {
        int64_t relative = j - i - offset;
        bool keep = j >= keys.begin[b] && j < keys.end[b];
        keep = keep && i >= queries.begin[b] && i < queries.end[b];
        keep = keep && (!terms.causal || relative <= 0);
        keep = keep && (terms.window_left < 0 || relative >= -terms.window_left);
        keep = keep && (terms.window_right < 0 || relative <= terms.window_right);
        *visible++ = keep;
      }
  }
  Tensor result(plan_on(out, device));
  if (terms.layout)
    result = logical_and(result, Tensor(plan_on(terms.layout->dense().array(), device)));
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

void check_terms(const AttentionTerms& terms, const Shape& map, DType dtype, const char* who) {
  int64_t batch = map[0], heads = map[1];
  require_rows(terms.key_begin, "key padding", batch, who);
  require_rows(terms.key_end, "key padding", batch, who);
  require_rows(terms.query_begin, "query padding", batch, who);
  require_rows(terms.query_end, "query padding", batch, who);
  require_rows(terms.offset, "an offset", batch, who);
  if (const Tensor& slopes = terms.alibi_slopes; slopes.defined()) {
    if (slopes.rank() != 1 || slopes.dim(0) != heads)
      throw ShapeError(
          str(who, ": ALiBi slopes ", slopes.shape(), ", one a head expected: [", heads, "]"));
    if (!is_differentiable(slopes.dtype()))
      throw DTypeError(str(who, ": ALiBi slopes are ", slopes.dtype(), ", f32 or f64 expected"));
  }
  if (const Tensor& table = terms.relative_bias; table.defined()) {
    if (table.rank() != 2 || table.dim(0) != heads)
      throw ShapeError(
          str(who, ": a relative-bias table ", table.shape(), ", [", heads, ", buckets] expected"));
    if (table.dtype() != dtype)
      throw DTypeError(
          str(who, ": the relative-bias table is ", table.dtype(), " but q is ", dtype));
    int64_t one_side = terms.relative_bidirectional ? table.dim(1) / 2 : table.dim(1);
    if (one_side < 2)
      throw ValueError(str(who, ": ", table.dim(1), " relative buckets; at least ",
                           terms.relative_bidirectional ? 4 : 2, " are needed"));
    if (terms.relative_max_distance <= one_side / 2)
      throw ValueError(str(who, ": relative_max_distance ", terms.relative_max_distance,
                           " must exceed the ", one_side / 2,
                           " distances that have a bucket of their own"));
  }
  if (const Tensor& mask = terms.pair_mask; mask.defined()) {
    if (mask.dtype() != DType::boolean)
      throw DTypeError(
          str(who, ": the pair mask is ", mask.dtype(), ", bool expected (true = keep)"));
    require_map(mask, "the pair mask", map, who);
  }
  if (const Tensor& bias = terms.bias; bias.defined()) {
    if (bias.dtype() != dtype)
      throw DTypeError(str(who, ": the bias is ", bias.dtype(), " but q is ", dtype));
    require_map(bias, "the bias", map, who);
  }
  if (const auto& layout = terms.layout)
    if (layout->queries() != map[2] || layout->keys() != map[3])
      throw ShapeError(str(who, ": a layout for ", layout->queries(), " queries and ",
                           layout->keys(), " keys, but the map is ", map));
}

}  // namespace heed
