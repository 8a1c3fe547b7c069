#include <heed/nn/attention/additive.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/recompute.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/kv_step.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::nn {

namespace {

// The limits of a block of tanh(W q_i + U k_j): the numbers in it, and its query rows. Without the
// second one a block with few channels would be the whole map, whose memory grows as T S.
constexpr int64_t kBlockNumbers = int64_t{1} << 21;
constexpr int64_t kBlockRows = 64;
constexpr double kHidden = -std::numeric_limits<double>::infinity();

Tensor biased_softmax(Tensor scores, const Tensor& visible, const Tensor& bias) {
  if (bias.defined()) scores = scores + bias.to(scores.dtype());
  return softmax(where(visible, scores, kHidden), -1);  // [B, H, R, S]
}

// x w^T, unrounded: in f32 for bf16.
Tensor projected(const Tensor& x, const Tensor& w) {
  Tensor wide = widened(x);
  return linear(wide, w.to(wide.dtype()));
}

}  // namespace

AdditiveAttention::AdditiveAttention(AttentionConfig config) : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  width_ = c.options.integer("width", c.head_dim, 1);
  W = zeros({width_, c.head_dim});
  U = zeros({width_, c.head_dim});
  v = zeros({c.heads, width_});
  init::xavier_uniform_(W);
  init::xavier_uniform_(U);
  double bound = std::sqrt(6 / static_cast<double>(width_ + 1));  // Glorot for A inputs, one output
  init::uniform_(v, -bound, bound);
  register_parameter("W", W);
  register_parameter("U", U);
  register_parameter("v", v);
}

Traits AdditiveAttention::traits() const {
  Traits t;
  t.causal = t.cross = t.key_padding = t.left_padding = true;
  t.pair_mask = t.bias = t.weight_dropout = t.grouped_heads = true;
  t.weights = t.row_stochastic = true;
  t.permutation = true;
  t.decode = DecodeKind::kv;
  return t;
}

// a = W q [B, H, R, A], b = U k [B, H, S, A] -> [B, H, R, S]
Tensor AdditiveAttention::scores(const Tensor& a, const Tensor& b, double scale) const {
  Tensor sums = a.unsqueeze(3) + b.unsqueeze(2);                            // [B, H, R, S, A]
  Tensor weight = v.to(a.dtype()).reshape({config().heads, 1, width_, 1});  // [H, 1, A, 1]
  Tensor found = matmul(tanh(sums), weight).squeeze(4);                     // [B, H, R, S]
  return scale == 1 ? found : found * scale;
}

Tensor AdditiveAttention::forward(const Tensor& q, const Tensor& k, const Tensor& value,
                                  const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, value, call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  double scale = scale_of(call);
  const Tensor wide_v = widened(value);  // bf16 is computed in f32, and rounded at the end
  Tensor a = projected(call.mask.select_queries(q, 2), W);                // [B, H, T, A]
  Tensor b = projected(call.mask.select_keys(k, 2), U);                   // [B, Hkv, S, A]
  b = repeat_heads(b, heads);                                             // [B, H, S, A]
  Tensor values = repeat_heads(call.mask.select_keys(wide_v, 2), heads);  // [B, H, S, E]
  Tensor kept;
  if (call.dropout > 0)
    kept = dropout_mask({batch, heads, queries, keys}, call.dropout, call.random,
                        {.dtype = a.dtype(), .device = q.device()});
  int64_t row = std::max<int64_t>(batch * heads * keys * width_, 1);
  int64_t rows = std::clamp<int64_t>(kBlockNumbers / row, 1, kBlockRows);
  std::vector<Tensor> parts;
  for (int64_t begin = 0; begin < queries; begin += rows) {
    int64_t count = std::min(rows, queries - begin);
    Tensor drop = kept.defined() ? kept.slice(2, begin, begin + count) : kept;
    // The mask of a block is made inside it; the masks of all blocks together would be a T x S map.
    auto block = [=, this, all = call.mask, dtype = q.dtype()](const std::vector<Tensor>& in) {
      Mask mask = all.rows(begin, count, batch, queries, keys);
      Tensor visible =
          mask.dense(batch, count, keys, in[0].device(), config().causal);      // [B|1, H|1, R, S]
      Tensor bias = mask.dense_bias(batch, count, keys, dtype);                 // or undefined
      Tensor map = biased_softmax(scores(in[0], in[1], scale), visible, bias);  // [B, H, R, S]
      return matmul(drop.defined() ? map * drop : map, in[2]);                  // [B, H, R, E]
    };
    std::vector<Tensor> in{a.slice(2, begin, begin + count), b, values};
    parts.push_back(grad_enabled() ? recompute(block, in) : block(in));
  }
  if (parts.empty()) return q.new_zeros({batch, heads, 0, config().value_dim});
  return (parts.size() == 1 ? parts[0] : concat(parts, 2)).to(q.dtype());  // [B, H, T, E]
}

Tensor AdditiveAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                  const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), heads = q.dim(1), queries = q.dim(2), keys = k.dim(2);
  Tensor asked = take_rows(call.mask.select_queries(q, 2), rows, name());  // [B, H, R, D]
  if (rows.empty()) return q.new_zeros({batch, heads, 0, keys});
  Tensor b = projected(call.mask.select_keys(k, 2), U);  // [B, Hkv, S, A]
  Tensor found = scores(projected(asked, W), repeat_heads(b, heads), scale_of(call));
  std::vector<Tensor> visible, bias;
  for (int64_t i : rows) {
    Mask mask = call.mask.rows(i, 1, batch, queries, keys);
    visible.push_back(broadcast_to(mask.dense(batch, 1, keys, q.device(), config().causal),
                                   {batch, heads, 1, keys}));
    Tensor term = mask.dense_bias(batch, 1, keys, q.dtype());
    if (term.defined()) bias.push_back(broadcast_to(term, {batch, heads, 1, keys}));
  }
  Tensor map = biased_softmax(found, concat(visible, 2), bias.empty() ? Tensor() : concat(bias, 2));
  return drop_weights(map, rows, queries, call).to(q.dtype());  // [B, H, R, S]
}

std::unique_ptr<DecodeState> AdditiveAttention::new_state(int64_t batch, int64_t capacity,
                                                          DType dtype, Device device) const {
  // The cache holds U k in place of k, so that it is computed once per key.
  return std::make_unique<KVCache>(batch, config().kv_heads, width_, config().value_dim, capacity,
                                   dtype, device);
}

void AdditiveAttention::absorb(const Tensor& k, const Tensor& value, const AttentionCall& call,
                               DecodeState& state) const {
  NoGrad guard;
  check_step(Tensor(), k, value, call, state);
  state_as<KVCache>(state).append(linear(k, U.to(k.dtype())), value, call.mask);
}

Tensor AdditiveAttention::step(const Tensor& q, const Tensor& k, const Tensor& value,
                               const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  KVCache& cache = state_as<KVCache>(state);
  check_step(q, k, value, call, cache);
  Tensor fresh_keys = k.defined() ? linear(k, U.to(k.dtype())) : k;  // [B, Hkv, T, A]
  int64_t fresh = q.dim(2);
  KVStep s = begin_kv_step(cache, fresh_keys, value, call.mask, config().causal, fresh);
  int64_t batch = q.dim(0), heads = config().heads, held = s.keys.dim(2);
  Tensor rows = call.mask.select_queries(q, 2);  // [B, H, T, D]
  Tensor found = scores(projected(rows, W), repeat_heads(widened(s.keys), heads),
                        scale_of(call));  // [B, H, T, S]
  Tensor map = biased_softmax(found, visible_pairs(s.terms, batch, fresh, held, q.device()),
                              bias_terms(s.terms, batch, fresh, held, q.dtype()));
  return matmul(map, repeat_heads(widened(s.values), heads)).to(q.dtype());  // [B, H, T, E]
}

std::optional<ExactLimit> AdditiveAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = Options(name());
  limit.prepare = [](Attention& attention) {
    NoGrad guard;
    dynamic_cast<AdditiveAttention&>(attention).v.fill_(0);
  };
  // With v = 0 all scores are 0, and the result is the mean of the visible values.
  limit.reference = [dense = dense_reference(config())](const Tensor& q, const Tensor& k,
                                                        const Tensor& value,
                                                        const AttentionCall& call) {
    AttentionCall flat = call;
    flat.scale = 0.0f;
    return dense(q, k, value, flat);
  };
  return limit;
}

Cost AdditiveAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t heads = s.batch * s.heads, kv = s.batch * s.kv_heads;
  int64_t q = heads * s.queries * d, out = heads * s.queries * e;
  int64_t k = kv * s.keys * d, value = kv * s.keys * e;
  int64_t projected = heads * s.queries * width_ + kv * s.keys * width_;
  int64_t matrices = 2 * projected * d, map = 2 * heads * s.queries * s.keys * (width_ + e);
  bool back = pass == Pass::backward;
  Cost c;
  // Backward computes the map again, and each product has two gradients.
  c.flops = back ? 2 * matrices + 3 * map : matrices + map;
  c.bytes = (q + k + value + 2 * projected + out) * size;
  if (back) c.bytes += (out + q + k + value + projected) * size;
  // q, k, v, out; W q; U k and v repeated for every query head, if there are more of these.
  int64_t kept = heads * s.queries * width_ + heads * s.keys * width_;
  if (s.heads != s.kv_heads) kept += heads * s.keys * e;
  c.activation_bytes = (q + k + value + out + kept) * wide;
  c.state_bytes = kv * s.keys * (width_ + e) * size;
  return c;
}

}  // namespace heed::nn
