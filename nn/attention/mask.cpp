#include <heed/nn/attention/mask.h>

#include <algorithm>

#include <heed/autograd/ops/elementwise.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed::nn {

namespace {

const Lengths& not_negative(const Lengths& lengths, const char* who) {
  for (int64_t b = 0; b < lengths.size(); ++b)
    if (lengths[b] < 0)
      throw ValueError(str(who, ": length ", lengths[b], " of row ", b, " is negative"));
  return lengths;
}

// The intersection of both bounds.
template <class Pick>
Lengths merge_bounds(const Lengths& a, const Lengths& b, Pick pick) {
  if (!a.defined() || !b.defined()) return a.defined() ? a : b;
  if (a.size() != b.size())
    throw ShapeError(str("Mask: padding for ", a.size(), " and for ", b.size(), " rows"));
  std::vector<int64_t> x = a.values();
  for (size_t i = 0; i < x.size(); ++i) x[i] = pick(x[i], b.values()[i]);
  return x;
}

Tensor only_one(const Tensor& a, const Tensor& b, const char* what) {
  if (a.defined() && b.defined() && a.impl() != b.impl())
    throw ValueError(str("Mask: two terms of the same kind: ", what));
  return a.defined() ? a : b;
}

int64_t narrower(int64_t a, int64_t b) { return a < 0 ? b : b < 0 ? a : std::min(a, b); }

// A bound relative to the tokens [begin, begin + count).
Lengths bound_within(const Lengths& bound, int64_t begin, int64_t count) {
  if (!bound.defined()) return bound;
  std::vector<int64_t> x = bound.values();
  for (int64_t& at : x) at = std::clamp<int64_t>(at - begin, 0, count);
  return x;
}

Tensor query_rows(const Tensor& map, int64_t begin, int64_t count) {
  if (!map.defined() || map.rank() < 2 || map.dim(-2) == 1) return map;
  return map.slice(-2, begin, begin + count);
}

}  // namespace

Tensor valid_positions(const Lengths& begin, const Lengths& end, int64_t count, Device device) {
  Ranges r = ranges_of(begin, end, std::max(begin.size(), end.size()), count);
  Array valid = Array::zeros({r.rows(), count}, DType::boolean, kCpu);
  for (size_t b = 0; b < r.begin.size(); ++b) {
    bool* row = valid.data<bool>() + static_cast<int64_t>(b) * count;
    std::fill(row + r.begin[b], row + r.end[b], true);
  }
  return Tensor(plan_on(valid, device));  // [B, T]
}

Mask Mask::key_padding(const Lengths& lengths) {
  return key_padding({}, not_negative(lengths, "Mask::key_padding"));
}

Mask Mask::key_padding(const Lengths& begin, const Lengths& end) {
  Mask m;
  m.terms_.key_begin = begin;
  m.terms_.key_end = end;
  return m;
}

Mask Mask::query_padding(const Lengths& lengths) {
  return query_padding({}, not_negative(lengths, "Mask::query_padding"));
}

Mask Mask::query_padding(const Lengths& begin, const Lengths& end) {
  Mask m;
  m.terms_.query_begin = begin;
  m.terms_.query_end = end;
  return m;
}

Mask Mask::padding(const Lengths& lengths) {
  return padding({}, not_negative(lengths, "Mask::padding"));
}

Mask Mask::padding(const Lengths& begin, const Lengths& end) {
  return key_padding(begin, end) & query_padding(begin, end);
}

Mask Mask::window(int64_t left, int64_t right) {
  if (left < -1 || right < -1)
    throw ValueError(str("Mask::window: sides are >= 0, or -1 for open, got ", left, ", ", right));
  Mask m;
  m.terms_.window_left = left;
  m.terms_.window_right = right;
  return m;
}

Mask Mask::alibi(const Tensor& slopes) {
  if (slopes.rank() != 1)
    throw ShapeError(str("Mask::alibi: slopes [H] expected, got ", slopes.shape()));
  Mask m;
  m.terms_.alibi_slopes = slopes;
  return m;
}

Mask Mask::relative(const Tensor& table, bool bidirectional, int64_t max_distance) {
  if (table.rank() != 2)
    throw ShapeError(str("Mask::relative: a table [H, buckets] expected, got ", table.shape()));
  Mask m;
  m.terms_.relative_bias = table;
  m.terms_.relative_bidirectional = bidirectional;
  m.terms_.relative_max_distance = max_distance;
  return m;
}

Mask Mask::pairs(const Tensor& keep) {
  if (keep.dtype() != DType::boolean)
    throw DTypeError(str("Mask::pairs: bool expected (true = keep), got ", keep.dtype()));
  Mask m;
  m.terms_.pair_mask = keep;
  return m;
}

Mask Mask::added(const Tensor& bias) {
  if (!is_differentiable(bias.dtype()))
    throw DTypeError(str("Mask::added: f32, f64 or bf16 expected, got ", bias.dtype(),
                         bias.dtype() == DType::boolean ? "; for a bool map use Mask::pairs" : ""));
  Mask m;
  m.terms_.bias = bias;
  return m;
}

Mask Mask::offset(const Lengths& offset) {
  Mask m;
  m.terms_.offset = offset;
  return m;
}

Mask Mask::operator&(const Mask& other) const {
  const AttentionTerms &a = terms_, &b = other.terms_;
  Mask m = *this;
  AttentionTerms& t = m.terms_;
  auto later = [](int64_t x, int64_t y) { return std::max(x, y); };
  auto earlier = [](int64_t x, int64_t y) { return std::min(x, y); };
  t.key_begin = merge_bounds(a.key_begin, b.key_begin, later);
  t.key_end = merge_bounds(a.key_end, b.key_end, earlier);
  t.query_begin = merge_bounds(a.query_begin, b.query_begin, later);
  t.query_end = merge_bounds(a.query_end, b.query_end, earlier);
  t.window_left = narrower(a.window_left, b.window_left);
  t.window_right = narrower(a.window_right, b.window_right);
  t.alibi_slopes = only_one(a.alibi_slopes, b.alibi_slopes, "ALiBi slopes");
  t.relative_bias = only_one(a.relative_bias, b.relative_bias, "relative-bias tables");
  if (b.relative_bias.defined()) {
    t.relative_bidirectional = b.relative_bidirectional;
    t.relative_max_distance = b.relative_max_distance;
  }
  if (a.offset.defined() && b.offset.defined() && !(a.offset == b.offset))
    throw ValueError("Mask: two terms with different offsets");
  t.offset = a.offset.defined() ? a.offset : b.offset;
  if (a.pair_mask.defined() && b.pair_mask.defined())
    t.pair_mask = logical_and(a.pair_mask, b.pair_mask);
  else if (b.pair_mask.defined()) t.pair_mask = b.pair_mask;
  if (a.bias.defined() && b.bias.defined()) t.bias = a.bias + b.bias;
  else if (b.bias.defined()) t.bias = b.bias;
  // One mask's promise does not cover the other one's padding.
  auto pads = [](const Mask& x) { return x.has_key_padding() || x.has_query_padding(); };
  m.finite_padding_ = (finite_padding_ || other.finite_padding_) &&
                      (finite_padding_ || !pads(*this)) && (other.finite_padding_ || !pads(other));
  return m;
}

AttentionTerms Mask::terms(bool causal) const {
  AttentionTerms t = terms_;
  t.causal = causal;
  return t;
}

bool Mask::has_bias() const {
  return terms_.bias.defined() || terms_.alibi_slopes.defined() || terms_.relative_bias.defined();
}

Ranges Mask::key_ranges(int64_t batch, int64_t count) const {
  return ranges_of(terms_.key_begin, terms_.key_end, batch, count);
}

Ranges Mask::query_ranges(int64_t batch, int64_t count) const {
  return ranges_of(terms_.query_begin, terms_.query_end, batch, count);
}

std::string Mask::to_string() const {
  std::string out;
  auto term = [&](const std::string& text) { out += (out.empty() ? "" : ", ") + text; };
  if (has_key_padding()) term("key padding");
  if (has_query_padding()) term("query padding");
  if (has_window()) term(str("window ", terms_.window_left, "..", terms_.window_right));
  if (has_pairs()) term(str("pair mask ", terms_.pair_mask.shape()));
  if (terms_.bias.defined()) term(str("bias ", terms_.bias.shape()));
  if (terms_.alibi_slopes.defined()) term("ALiBi");
  if (terms_.relative_bias.defined()) term("relative bias");
  if (terms_.offset.defined()) term("offset");
  return out.empty() ? "no mask" : out;
}

Tensor Mask::dense(int64_t batch, int64_t queries, int64_t keys, Device device, bool causal) const {
  return visible_pairs(terms(causal), batch, queries, keys, device);
}

Tensor Mask::dense_bias(int64_t batch, int64_t queries, int64_t keys, DType dtype) const {
  return bias_terms(terms_, batch, queries, keys, dtype);
}

Mask Mask::rows(int64_t begin, int64_t count, int64_t batch, int64_t queries, int64_t keys) const {
  if (begin < 0 || count < 0 || begin + count > queries)
    throw ValueError(
        str("Mask::rows: [", begin, ", ", begin + count, ") of ", queries, " queries"));
  Mask m = *this;
  AttentionTerms& t = m.terms_;
  t.query_begin = bound_within(terms_.query_begin, begin, count);
  t.query_end = bound_within(terms_.query_end, begin, count);
  Lengths offset = terms_.offset.defined()
                       ? terms_.offset
                       : std::vector<int64_t>(static_cast<size_t>(batch), keys - queries);
  t.offset = offset.minus(-begin);
  t.pair_mask = query_rows(terms_.pair_mask, begin, count);
  t.bias = query_rows(terms_.bias, begin, count);
  return m;
}

Mask Mask::to(DType dtype) const {
  Mask m = *this;
  for (Tensor* bias : {&m.terms_.bias, &m.terms_.relative_bias})
    if (bias->defined()) *bias = bias->to(dtype);
  return m;
}

Mask Mask::tokens(int64_t begin, int64_t count) const {
  Mask m = *this;
  for (Lengths* bound :
       {&m.terms_.key_begin, &m.terms_.key_end, &m.terms_.query_begin, &m.terms_.query_end})
    *bound = bound_within(*bound, begin, count);
  return m;
}

static Tensor keep_tokens(const Tensor& x, int axis, const Tensor& valid) {
  int64_t count = x.dim(axis);
  if (valid.dim(0) != x.dim(0))
    throw ShapeError(
        str("Mask: padding for ", valid.dim(0), " rows, but the tensor is ", x.shape()));
  Shape shape = Shape::filled(x.rank(), 1);
  shape[0] = x.dim(0);
  shape[normalize_axis(axis, x.rank(), "Mask")] = count;
  return where(valid.reshape(shape), x, 0.0);
}

static Tensor keep_range(const Tensor& x, int axis, const Lengths& begin, const Lengths& end) {
  if (!begin.defined() && !end.defined()) return x;
  return keep_tokens(x, axis, valid_positions(begin, end, x.dim(axis), x.device()));
}

Tensor Mask::select_keys(const Tensor& x, int axis) const {
  return keep_range(x, axis, terms_.key_begin, terms_.key_end);
}

Tensor Mask::select_queries(const Tensor& x, int axis) const {
  return keep_range(x, axis, terms_.query_begin, terms_.query_end);
}

Tensor Mask::select_tokens(const Tensor& x, int axis) const {
  const AttentionTerms& t = terms_;
  if (!has_query_padding() || (t.key_begin == t.query_begin && t.key_end == t.query_end))
    return select_keys(x, axis);
  if (!has_key_padding()) return select_queries(x, axis);
  Tensor as_key = valid_positions(t.key_begin, t.key_end, x.dim(axis), x.device());        // [B, T]
  Tensor as_query = valid_positions(t.query_begin, t.query_end, x.dim(axis), x.device());  // [B, T]
  return keep_tokens(x, axis, logical_or(as_key, as_query));
}

Tensor Mask::finite_keys(const Tensor& x, int axis) const {
  return finite_padding_ ? x : select_keys(x, axis);
}

Tensor Mask::finite_queries(const Tensor& x, int axis) const {
  return finite_padding_ ? x : select_queries(x, axis);
}

Tensor Mask::finite_tokens(const Tensor& x, int axis) const {
  return finite_padding_ ? x : select_tokens(x, axis);
}

Mask Mask::with_finite_padding() const {
  Mask m = *this;
  m.finite_padding_ = true;
  return m;
}

}  // namespace heed::nn
