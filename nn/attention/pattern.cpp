#include <heed/nn/attention/pattern.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/plan.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/kv_step.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

PatternAttention::PatternAttention(AttentionConfig config, int64_t block, int64_t tile)
    : Attention(std::move(config)), block_(block), tile_(tile) {}

std::shared_ptr<const BlockLayout> PatternAttention::layout(int64_t queries, int64_t keys,
                                                            int64_t first) const {
  return layout_of(queries, keys, first, tile_);
}

std::shared_ptr<const BlockLayout> PatternAttention::layout_of(int64_t queries, int64_t keys,
                                                               int64_t first, int64_t size) const {
  const bool causal = config().causal;
  auto moved = [&](Span i) { return Span{i.begin + first, i.end + first}; };
  auto covers = [&](Span at, Span j) {
    Span i = moved(at);
    if (causal && j.begin > i.end - 1) return Cover::empty;
    Cover c = cover(i, j);
    return causal && c == Cover::full && j.end - 1 > i.begin ? Cover::partial : c;
  };
  auto keeps = [&](int64_t i, int64_t j) {
    return (!causal || j <= i + first) && keep(i + first, j);
  };
  return BlockLayout::make(queries, keys, size, covers, keeps);
}

Tensor PatternAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  refuse_offset(call);
  AttentionTerms terms = call.mask.terms(config().causal);
  terms.layout =
      cache_.get(q.dim(2), k.dim(2), [this](int64_t t, int64_t s) { return layout(t, s); });
  return fused_attention(q, k, v, terms, fused_options(call));  // [B, H, T, E]
}

Tensor PatternAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionCall& call) const {
  check_call(q, k, v, call);
  refuse_offset(call);
  AttentionTerms terms = call.mask.terms(config().causal);
  terms.layout = layout(q.dim(2), k.dim(2));
  return fused_attention_reference(q, k, v, terms, fused_options(call));  // [B, H, T, E]
}

Traits PatternAttention::traits() const {
  Traits t;
  t.causal = t.key_padding = t.pair_mask = t.bias = t.weight_dropout = t.grouped_heads = true;
  t.weights = t.row_stochastic = true;
  t.decode = DecodeKind::kv;
  t.why["cross"] = "the pattern speaks of positions in one sequence";
  t.why["left_padding"] = "the pattern stands at fixed positions, padding on the left moves tokens";
  return t;
}

Tensor pattern_pairs(const PatternAttention& pattern, const Lengths& offset, int64_t queries,
                     int64_t keys, Device device) {
  int64_t rows = offset.all_equal() ? std::min<int64_t>(1, offset.size()) : offset.size();
  Array pairs = Array::empty({rows, 1, queries, keys}, DType::boolean, kCpu);
  bool* out = pairs.data<bool>();
  for (int64_t b = 0; b < rows; ++b)
    for (int64_t i = 0; i < queries; ++i)
      for (int64_t j = 0; j < keys; ++j) *out++ = pattern.keep(i + offset[b], j);
  return Tensor(plan_on(pairs, device));
}

// Dense attention's rows under the pattern; consecutive rows are computed together.
Tensor PatternAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                 const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  refuse_offset(call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  check_rows(rows, queries, name());
  if (rows.empty()) return q.new_zeros({batch, heads, 0, keys});
  DenseAttention dense(dense_config(config()));
  Tensor map = join_runs(rows, [&](int64_t first, int64_t count) {
    AttentionCall part;
    part.scale = call.scale;
    part.mask = call.mask.rows(first, count, batch, queries, keys) &
                Mask::pairs(pattern_pairs(*this, {first}, count, keys, q.device()));
    return dense.weights(q.slice(2, first, first + count), k, part, all_rows(count));
  });  // [B, H, R, S]
  return drop_weights(map, rows, queries, call);
}

Tensor PatternAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                              const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, v, call, cache);
  KVStep s = begin_kv_step(cache, k, v, call.mask, config().causal, q.dim(2));
  int64_t fresh = q.dim(2), held = s.keys.dim(2);
  if (fresh == 0 || held == 0 || s.offset.size() == 0)
    return fused_attention(q, s.keys, s.values, s.terms, fused_options(call));  // [B, H, T, E]
  if (s.offset.all_equal() && s.offset[0] >= 0) {
    s.terms.layout = layout(fresh, held, s.offset[0]);
    return fused_attention(q, s.keys, s.values, s.terms, fused_options(call));  // [B, H, T, E]
  }
  // With rows of unequal length each row sees its own pattern, a few queries at a time.
  constexpr int64_t kQueries = 64;
  std::vector<Tensor> parts;
  Mask mask = call.mask;
  for (int64_t at = 0; at < fresh; at += kQueries) {
    int64_t count = std::min(kQueries, fresh - at);
    AttentionTerms terms = mask.rows(at, count, q.dim(0), fresh, held).terms(config().causal);
    Lengths offset = s.offset.minus(-at);
    terms.offset = offset;
    terms.key_begin = Lengths();
    terms.key_end = s.terms.key_end;
    Tensor pairs = pattern_pairs(*this, offset, count, held, q.device());  // [B, 1, n, S]
    terms.pair_mask = terms.pair_mask.defined() ? logical_and(terms.pair_mask, pairs) : pairs;
    parts.push_back(fused_attention(q.slice(2, at, at + count), s.keys, s.values, terms,
                                    fused_options(call)));  // [B, H, n, E]
  }
  return parts.size() == 1 ? parts[0] : concat(parts, 2);  // [B, H, T, E]
}

std::vector<int64_t> PatternAttention::reach(const Tensor& q, const Tensor& k,
                                             const AttentionCall& call, int64_t i) const {
  std::vector<int64_t> seen;
  for (int64_t j : Attention::reach(q, k, call, i))
    if (keep(i, j)) seen.push_back(j);
  return seen;
}

ExactLimit PatternAttention::dense_limit(Options options) const {
  ExactLimit limit;
  limit.options = std::move(options);
  limit.reference = dense_reference(config());
  return limit;
}

Cost PatternAttention::cost(const AttentionShape& shape, Pass pass) const {
  return softmax_cost(layout(shape.queries, shape.keys)->pairs(), shape, pass);
}

}  // namespace heed::nn
