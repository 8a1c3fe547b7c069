#include <heed/nn/attention/lsh.h>

#include <algorithm>
#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/lsh.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>
#include <heed/nn/attention/kv_step.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

namespace {

// Finite, so that a token without any other candidate attends to itself; far below any real score.
constexpr double kSelfScore = -5e4;

int64_t default_buckets(int64_t max_length, int64_t chunk) {
  if (max_length == 0) return 16;
  int64_t wanted = (max_length + chunk - 1) / chunk;
  return std::max<int64_t>(2, wanted + wanted % 2);
}

// k / |k|. A zero vector has no direction: it stays zero and gets no gradient.
Tensor directions(const Tensor& k) {
  Tensor squared = sum(square(k), {3}, true);  // [B, H, S, 1]
  Tensor some = greater(squared, 0.0);
  return where(some, k, 0.0) * rsqrt(where(some, squared, 1.0));  // [B, H, S, D]
}

// bool [B, 1, T, S]: true at query i's own key, which is i + offset[b].
Tensor own_keys(const Lengths& offset, int64_t queries, int64_t keys, Device device) {
  Array own = Array::zeros({offset.size(), 1, queries, keys}, DType::boolean, kCpu);
  for (int64_t b = 0; b < offset.size(); ++b)
    for (int64_t i = 0; i < queries; ++i)
      if (int64_t j = i + offset[b]; j >= 0 && j < keys)
        own.data<bool>()[(b * queries + i) * keys + j] = true;
  return Tensor(plan_on(own, device));
}

}  // namespace

LshAttention::LshAttention(AttentionConfig config) : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  rounds_ = c.options.integer("rounds", 4, 1, 64);
  chunk_ = c.options.integer("chunk", 64, 1, int64_t{1} << 30);
  buckets_ = c.options.integer("buckets", default_buckets(c.max_length, chunk_), 1, 1 << 20);
  int64_t seed = c.options.integer("seed", 0, 0);
  if (buckets_ > 1 && buckets_ % 2 != 0)
    throw ValueError(str("lsh: option 'buckets' is '", buckets_,
                         "'; allowed: 1 (no hashing) or an even number"));
  Shape shape{c.heads, rounds_, c.head_dim, buckets_ / 2};
  rotations_ = Tensor(random_normal(shape, 0, 1, {static_cast<uint64_t>(seed), 0}, default_dtype()))
                   .to(default_device());
  register_buffer("rotations", rotations_);
}

int64_t LshAttention::list_length(int64_t keys) const {
  int64_t most = config().causal ? rounds_ * (chunk_ - 1) + 1 : rounds_ * 2 * chunk_ + 1;
  return std::min(keys, most);
}

Tensor LshAttention::hash(const Tensor& x) const {
  NoGrad guard;
  int64_t batch = x.dim(0), heads = x.dim(1), count = x.dim(2);
  if (buckets_ == 1 || x.numel() == 0)
    return x.new_zeros({batch, heads, rounds_, count}, DType::i32);
  std::vector<Tensor> rounds;
  for (int64_t r = 0; r < rounds_; ++r) {
    Tensor rotated =
        matmul(x.detach(), select(rotations_, 1, r).to(x.dtype()));  // [B, H, N, b / 2]
    rounds.push_back(argmax(concat({rotated, -rotated}, 3), 3));     // [B, H, N]
  }
  return cast(stack(rounds, 2), DType::i32);  // [B, H, rounds, N]
}

Tensor LshAttention::candidates(const Tensor& q, const Tensor& k, const Mask& mask,
                                const Lengths& offset) const {
  NoGrad guard;
  int64_t batch = q.dim(0), queries = q.dim(2), keys = k.dim(2);
  Ranges valid_keys = mask.key_ranges(batch, keys), valid = mask.query_ranges(batch, queries);
  LshSearch search;
  search.chunk = chunk_;
  search.buckets = buckets_;
  search.causal = config().causal;
  search.key_begin = valid_keys.begin;
  search.key_end = valid_keys.end;
  search.query_begin = valid.begin;
  search.query_end = valid.end;
  search.offset =
      offset.defined() ? offset : Lengths(std::vector<int64_t>(static_cast<size_t>(batch), 0));
  search.length = list_length(keys);
  return lsh_candidates(hash(q), hash(k), search);
}

LshAttention::Prepared LshAttention::prepared(const Tensor& q, const Tensor& k,
                                              const AttentionCall& call) const {
  refuse_offset(call);
  Prepared p;
  p.keys = directions(call.mask.select_keys(k, 2));  // [B, H, S, D]
  p.list = candidates(call.mask.select_queries(q, 2), p.keys, call.mask, {});
  p.options.base = fused_options(call);
  p.options.self_score = kSelfScore;
  return p;
}

Tensor LshAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                             const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  Prepared p = prepared(q, k, call);
  return selected_attention(q, p.keys, v, p.list, call.mask.terms(config().causal),
                            p.options);  // [B, H, T, E]
}

Tensor LshAttention::reference(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionCall& call) const {
  check_call(q, k, v, call);
  Prepared p = prepared(q, k, call);
  return selected_attention_reference(q, p.keys, v, p.list, {}, p.options);  // [B, H, T, E]
}

Traits LshAttention::traits() const {
  Traits t;
  t.causal = t.key_padding = t.left_padding = t.weight_dropout = true;
  t.shared_qk = t.weights = t.row_stochastic = true;
  t.prefix = false;  // the two forms choose candidates in different ways
  t.decode = config().causal ? DecodeKind::replay : DecodeKind::none;
  t.why["cross"] = "queries and keys are the same vectors";
  t.why["pair_mask"] = "candidates are chosen by hash and position";
  t.why["bias"] = "candidates are chosen by hash, which knows nothing of a bias";
  t.why["grouped_heads"] = "queries and keys are the same vectors";
  t.why["decode"] = "a layer that is not causal looks ahead";
  return t;
}

// Computes the scores of whole rows and keeps those of the candidates.
Tensor LshAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  int64_t count = static_cast<int64_t>(rows.size());
  refuse_offset(call);
  check_rows(rows, queries, name());
  if (count == 0) return q.new_zeros({batch, heads, 0, keys});
  Tensor clean = call.mask.select_queries(q, 2), unit = directions(call.mask.select_keys(k, 2));
  Tensor list = take_rows(candidates(clean, unit, call.mask, {}), rows, name());  // [B, H, R, L]
  Tensor scores = matmul(take_rows(clean, rows, name()) * scale_of(call), unit.transpose(2, 3));
  Tensor own = own_keys(Lengths{0}, queries, keys, q.device());      // [1, 1, T, S]
  scores = where(take_rows(own, rows, name()), kSelfScore, scores);  // [B, H, R, S]
  Tensor seen = listed_pairs(list, keys);
  Tensor map = softmax(where(seen, scores, -std::numeric_limits<double>::infinity()), -1);
  return drop_weights(map, rows, queries, call);
}

// The cache keeps all vectors, which are hashed again.
Tensor LshAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                          const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  if (!k.defined()) refuse("a step without keys", "cross");
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, v, call, cache);
  KVStep s = begin_kv_step(cache, k, v, call.mask, config().causal, q.dim(2));
  Tensor clean = widened(call.mask.select_queries(q, 2));  // [B, H, T, D]
  Tensor keys = directions(widened(s.keys));               // [B, H, S, D]
  Mask valid = Mask::key_padding({}, s.terms.key_end) &
               Mask::query_padding(s.terms.query_begin, s.terms.query_end);
  Tensor list = candidates(clean, keys, valid, s.offset);
  // A query's own key is not key i here, so its score is replaced explicitly.
  int64_t held = keys.dim(2);
  Tensor scores = matmul(clean * scale_of(call), keys.transpose(2, 3));  // [B, H, T, S]
  scores = where(own_keys(s.offset, q.dim(2), held, q.device()), kSelfScore, scores);
  Tensor seen = listed_pairs(list, held);
  Tensor map = softmax(where(seen, scores, -std::numeric_limits<double>::infinity()), -1);
  return matmul(map, widened(s.values)).to(q.dtype());  // [B, H, T, E]
}

Tensor LshAttention::dense_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                                     const AttentionCall& call) const {
  check_call(q, k, v, call);
  int64_t batch = q.dim(0), queries = q.dim(2), keys = k.dim(2);
  const Mask& mask = call.mask;
  Tensor unit = directions(mask.select_keys(k, 2));  // [B, H, S, D]
  Tensor scores = matmul(mask.select_queries(q, 2) * scale_of(call), unit.transpose(2, 3));
  Tensor own = equal(q.new_eye(queries), 1.0);  // [T, S]
  scores = where(own, kSelfScore, scores);
  Tensor visible = mask.dense(batch, queries, keys, q.device(), config().causal);
  Tensor any = greater(sum(cast(visible, DType::f32), {3}, true), 0.0);
  Tensor fill = where(any, q.new_full({1}, -std::numeric_limits<double>::infinity()), 0.0);
  Tensor map = where(visible, softmax(where(visible, scores, fill), -1), 0.0);  // [B, H, T, S]
  if (call.dropout > 0) map = dropout(map, call.dropout, call.random);
  return matmul(map, mask.select_keys(v, 2));  // [B, H, T, E]
}

std::optional<ExactLimit> LshAttention::exact_limit(const AttentionShape& shape) const {
  ExactLimit limit;
  limit.options = Options("lsh");
  limit.options.set("buckets", "1");
  limit.options.set("rounds", "1");
  limit.options.set("chunk", std::to_string(std::max<int64_t>(1, shape.keys)));
  AttentionConfig c = config();
  c.options = limit.options;
  limit.reference = [c](const Tensor& q, const Tensor& k, const Tensor& v,
                        const AttentionCall& call) {
    return LshAttention(c).dense_reference(q, k, v, call);
  };
  return limit;
}

std::vector<int64_t> LshAttention::reach(const Tensor& q, const Tensor& k,
                                         const AttentionCall& call, int64_t i) const {
  if (needs_widening(q)) return reach(widened(q), widened(k), call, i);
  check_call(q, k, Tensor(), call);
  if (i < 0 || i >= q.dim(2)) throw ValueError(str("lsh: reach of row ", i, " of ", q.dim(2)));
  Tensor list = candidates(call.mask.select_queries(q, 2), directions(call.mask.select_keys(k, 2)),
                           call.mask, {});
  std::vector<int64_t> keys;
  for (int64_t h = 0; h < q.dim(1); ++h) {
    std::vector<int64_t> mine;
    for (double j : list[0][h][i].to_vector())
      if (j >= 0) mine.push_back(static_cast<int64_t>(j));
    // The query's own key counts only if it is the only one.
    if (mine.size() > 1) mine.erase(std::remove(mine.begin(), mine.end(), i), mine.end());
    keys.insert(keys.end(), mine.begin(), mine.end());
  }
  std::sort(keys.begin(), keys.end());
  keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
  return keys;
}

Cost LshAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t tokens = s.batch * s.heads * s.queries, length = list_length(s.keys), pairs = 0;
  for (int64_t i = 0; i < s.queries; ++i)
    pairs += config().causal ? std::min(i + 1, length) : length;
  int64_t q = tokens * d, out = tokens * e, list = 4 * tokens * length;
  Cost c;
  c.upper_bound = true;  // lists are only as long as the buckets are full
  int64_t channels = pass == Pass::forward ? d + e : 3 * d + 2 * e;
  c.flops = 2 * s.batch * s.heads * pairs * channels;
  // Queries and keys are multiplied by the rotations once per round.
  if (pass == Pass::forward) c.flops += 2 * 2 * q * rounds_ * (buckets_ / 2);
  c.bytes = (3 * q + 2 * out + tokens) * size + list;
  if (pass == Pass::backward) c.bytes += (2 * q + 2 * out) * size;
  // q, which is also k; the directions, what they are made of, and 1 / |k| with whether k is
  // nonzero; v, out, log-sum-exps and the lists.
  c.activation_bytes = (3 * q + 2 * out + 2 * tokens) * wide + tokens + list;
  c.state_bytes = s.batch * s.kv_heads * s.keys * (d + e) * size;
  return c;
}

}  // namespace heed::nn
