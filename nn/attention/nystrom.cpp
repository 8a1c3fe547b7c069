#include <heed/nn/attention/nystrom.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/landmarks.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::nn {

NystromAttention::NystromAttention(AttentionConfig config) : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  landmarks_ = c.options.integer("landmarks", 64, 1);
  iterations_ = c.options.integer("iterations", 6, 1, 1000);
  ridge_ = c.options.number("ridge", 0, 0);
  conv_ = c.options.integer("conv", 0, 0);
  if (conv_ > 0 && conv_ % 2 == 0)
    throw ValueError(
        str("nystrom: conv=", conv_, ": an odd kernel size expected, or 0 for no convolution"));
  if (conv_ > 0) {
    conv_weight = zeros({c.heads, conv_});
    double bound = 1 / std::sqrt(static_cast<double>(conv_));
    init::uniform_(conv_weight, -bound, bound);
    register_parameter("conv_weight", conv_weight);
  }
}

Traits NystromAttention::traits() const {
  Traits t;
  t.cross = conv_ == 0;
  t.key_padding = t.left_padding = t.grouped_heads = t.weights = true;
  t.why = {
      {"causal", "landmarks and the pseudo-inverse see the whole sequence, the future included"},
      {"cross", "conv runs over positions that queries and keys share"},
      {"pair_mask", "queries reach keys through landmarks, so there is no pair to hide"},
      {"bias", "queries reach keys through landmarks, so there is no pair to add to"},
      {"weight_dropout", "the map is a product of three, of which none is the weights"},
      {"decode", "landmarks of the queries need all of them at once"},
  };
  return t;
}

struct NystromAttention::Core {
  Landmarks q, k;  // Q~ [B, H, mq, D], K~ [B, Hkv, mk, D]
  Tensor inverse;  // W^+ [B, H, mk, mq], f64
};

// An iteration makes Z grow by 13/4 at most. After seven, f32's rounding is still below 3e-4 of
// what Z inverts, and the last iteration, in double, removes it where Z has converged.
int64_t NystromAttention::single(DType dtype) const {
  return accumulate_dtype(dtype) == DType::f32 ? std::min<int64_t>(iterations_ - 1, 7) : 0;
}

NystromAttention::Core NystromAttention::core(const Tensor& q, const Tensor& k,
                                              const AttentionCall& call) const {
  Core c{segment_means(q, call.mask.query_ranges(q.dim(0), q.dim(2)), landmarks_),
         segment_means(k, call.mask.key_ranges(k.dim(0), k.dim(2)), landmarks_), Tensor()};
  int64_t rows = c.q.means.dim(2), columns = c.k.means.dim(2);
  Mask pairs = Mask::key_padding({}, c.k.end()) & Mask::query_padding({}, c.q.end());
  // In double, since the inverse enlarges the small singular values of W.
  Tensor w = softmax_map(c.q.means.to(DType::f64), c.k.means.to(DType::f64), scale_of(call),
                         pairs.dense(q.dim(0), rows, columns, q.device()));  // [B, H, mq, mk]
  if (ridge_ > 0) {
    // The pseudo-inverse of [W; sqrt(ridge) I] is (W^T W + ridge I)^-1 [W^T, sqrt(ridge) I].
    Tensor below = broadcast_to(w.new_eye(columns) * std::sqrt(ridge_),
                                {w.dim(0), w.dim(1), columns, columns});
    w = concat({w, below}, 2);  // [B, H, mq + mk, mk]
  }
  c.inverse = iterated_pseudo_inverse(w, iterations_, single(q.dtype()))
                  .slice(3, 0, rows);  // [B, H, mk, mq]
  return c;
}

Tensor NystromAttention::convolved(const Tensor& v, const AttentionCall& call) const {
  Tensor values = repeat_heads(call.mask.select_keys(v, 2), config().heads);  // [B, H, S, E]
  int64_t tokens = v.dim(2), half = conv_ / 2;
  Tensor wide = pad(values, 2, half, half);  // [B, H, S + c - 1, E]
  Tensor kernel = conv_weight.to(v.dtype()).reshape({config().heads, conv_, 1});  // [H, c, 1]
  Tensor total;                                                                   // [B, H, S, E]
  for (int64_t o = 0; o < conv_; ++o) {
    Tensor tap = wide.slice(2, o, o + tokens) * kernel.slice(1, o, o + 1);  // [B, H, S, E]
    total = total.defined() ? total + tap : tap;
  }
  return call.mask.select_queries(total, 2);
}

Tensor NystromAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                 const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  const AttentionTerms& mask = call.mask.terms();
  Core c = core(q, k, call);
  AttentionTerms gather, spread;
  gather.key_begin = mask.key_begin;
  gather.key_end = mask.key_end;
  gather.query_end = c.q.end();
  spread.key_end = c.k.end();
  spread.query_begin = mask.query_begin;
  spread.query_end = mask.query_end;
  FusedAttentionOptions options;
  options.scale = scale_of(call);
  Tensor x = fused_attention(c.q.means, k, v, gather, options);    // B V [B, H, mq, E]
  x = matmul(c.inverse, x.to(DType::f64)).to(q.dtype());           // W^+ B V [B, H, mk, E]
  Tensor landmarks = repeat_heads(c.k.means, config().heads);      // [B, H, mk, D]
  Tensor out = fused_attention(q, landmarks, x, spread, options);  // [B, H, T, E]
  return conv_ > 0 ? out + convolved(v, call) : out;
}

// Row i of the convolution as a matrix: kernel[j - i + c / 2] where that exists, else 0.
Tensor NystromAttention::band(const std::vector<int64_t>& rows, int64_t keys) const {
  std::vector<int64_t> places;
  for (int64_t i : rows)
    for (int64_t j = 0; j < keys; ++j) {
      int64_t o = j - i + conv_ / 2;
      places.push_back(o >= 0 && o < conv_ ? o : conv_);
    }
  Tensor kernel = pad(conv_weight, 1, 0, 1);  // [H, c + 1], 0 at the end
  int64_t count = static_cast<int64_t>(rows.size());
  return index_select(kernel, 1, places).reshape({config().heads, count, keys});  // [H, R, S]
}

Tensor NystromAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                 const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), queries = q.dim(2), keys = k.dim(2);
  const AttentionTerms& mask = call.mask.terms();
  Core c = core(q, k, call);
  int64_t mq = c.q.means.dim(2), mk = c.k.means.dim(2);
  Mask gather =
      Mask::key_padding(mask.key_begin, mask.key_end) & Mask::query_padding({}, c.q.end());
  Mask spread =
      Mask::key_padding({}, c.k.end()) & Mask::query_padding(mask.query_begin, mask.query_end);
  Tensor clean_k = call.mask.select_keys(k, 2);                            // [B, Hkv, S, D]
  Tensor asked = take_rows(call.mask.select_queries(q, 2), rows, name());  // [B, H, R, D]
  Tensor seen = broadcast_to(spread.dense(batch, queries, mk, q.device()), {batch, 1, queries, mk});
  Tensor f = softmax_map(asked, c.k.means, scale_of(call), take_rows(seen, rows, name()));
  Tensor b =
      softmax_map(c.q.means, clean_k, scale_of(call), gather.dense(batch, mq, keys, q.device()));
  Tensor map = matmul(matmul(f.to(DType::f64), c.inverse), b.to(DType::f64));  // [B, H, R, S]
  map = map.to(q.dtype());
  if (conv_ == 0) return map;
  Tensor rest = broadcast_to(band(rows, keys).to(q.dtype()).unsqueeze(0), map.shape());
  Tensor real =
      Mask::query_padding(mask.query_begin, mask.query_end).dense(batch, queries, 1, q.device());
  real = broadcast_to(real, {batch, 1, queries, 1});
  return map + where(take_rows(real, rows, name()), call.mask.select_keys(rest, 3), 0.0);
}

std::optional<ExactLimit> NystromAttention::exact_limit(const AttentionShape& shape) const {
  ExactLimit limit;
  limit.options = Options(name());
  int64_t most = std::max({shape.queries, shape.keys, int64_t{1}});
  limit.options.set("landmarks", std::to_string(most));
  limit.options.set("iterations", "30");
  limit.reference = dense_reference(config());
  // 30 iterations do not reach singular values of W below about 1e-7; in f32 the rounding of F and
  // B V passes through the inverse, too.
  limit.tolerance_f64 = 1e-6;
  limit.tolerance_f32 = 1e-3;
  return limit;
}

Cost NystromAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t heads = s.batch * s.heads, kv = s.batch * s.kv_heads;
  int64_t mq = std::min(landmarks_, s.queries), mk = std::min(landmarks_, s.keys);
  int64_t tall = ridge_ > 0 ? mq + mk : mq;  // rows of the matrix that is inverted
  int64_t r = std::min(tall, mk), l = std::max(tall, mk);
  int64_t q = heads * s.queries * d, out = heads * s.queries * e;
  int64_t k = kv * s.keys * d, v = kv * s.keys * e;
  int64_t across = 2 * heads * (mq * s.keys + s.queries * mk);  // B and F
  int64_t steps = iterations_ * (4 * r * r * l + 4 * r * r * r);
  int64_t core = heads * (2 * mq * mk * (d + e) + steps);
  bool back = pass == Pass::backward;
  Cost c;
  c.flops = back ? across * (3 * d + 2 * e) + 2 * core : across * (d + e) + core;
  c.bytes = (2 * q + 2 * k + v + out) * size;
  if (back) c.bytes += (2 * q + 2 * k + v + 2 * out) * size;
  // Saved of each iteration: W Z, the three brackets and Z. Of the start: W and its Z, and with a
  // ridge also the map, of which W is a copy. All in double, except the f32 iterations and their W.
  int64_t each = 4 * r * r + r * l, early = single(s.dtype);
  int64_t small = each * (iterations_ - early) + 2 * r * l + (ridge_ > 0 ? mq * mk : 0);
  int64_t singles = early > 0 ? each * early + r * l : 0;
  int64_t landmarks = heads * mq * (d + e + 1) + kv * mk * d + heads * mk * e;
  bool copied = s.dtype != DType::f64;
  int64_t doubles = heads * (small + mq * d) + (copied ? kv * mk * d + heads * mq * e : 0);
  if (s.heads != s.kv_heads) landmarks += heads * mk * d;
  c.activation_bytes = (q + k + v + out + heads * s.queries + landmarks) * wide +
                       heads * singles * int64_t{4} + doubles * int64_t{8};
  if (conv_ > 0) c.activation_bytes += (heads * (s.keys + conv_ - 1) * e + out) * wide;
  return c;
}

}  // namespace heed::nn
